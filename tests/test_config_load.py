"""Reading the settings: the precedence, the problems by their full path, and never an exception."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crontify_cli.config import keys, load, require
from crontify_cli.config.secret import Secret
from crontify_cli.config.settings import Loaded, MonitorSettings, Settings
from crontify_cli.errors import CrontifyError
from crontify_cli.job import options

KEY = "ck_live_Zq8Vt3Nw6Rx1Ky5P1234"
OTHER_KEY = "ck_live_Hb2Jd7Lf4Mg9Sc0T5678"


def write(home: Path, text: str) -> str:
    file = home / ".config/crontify/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)
    return str(file)


def read(home: Path, text: str, environ: Mapping[str, str] = {}, **flags: object) -> Loaded:
    write(home, text)
    return load(environ=environ, overrides=flags)


def key_of(loaded: Loaded) -> str:
    assert loaded.settings.api_key
    value = loaded.settings.api_key.value
    return value.reveal() if isinstance(value, Secret) else str(value)


def test_without_any_file_the_defaults_hold_and_nothing_is_wrong() -> None:
    loaded = load(environ={})
    assert loaded.problems == loaded.warnings == ()
    assert loaded.file is None
    found = loaded.settings
    assert found.base_url == "https://api.crontify.com/api/v1"
    assert (found.connect_timeout, found.http_timeout) == (5, 10)
    assert (found.report_timeout, found.rate_limit_wait) == (20, 90)
    assert (found.keep_runs, found.keep_days, found.keep_log_mb) == (10_000, 90, 256)
    assert found.api_key is found.token is found.proxy is found.ca_bundle is None
    assert not found.headers
    assert not found.monitors
    assert found.monitor("clxxx") == MonitorSettings(id="clxxx")


def test_every_key_of_the_table_is_read(home: Path) -> None:
    loaded = read(
        home,
        f"""
        api_key = "{KEY}"
        token_command = ["pass", "show", "crontify token"]
        base_url = "https://crontify.example/api/v1/"
        allow_http = true
        proxy = "http://user:secret@proxy.example:3128"
        ca_bundle = "ca.pem"
        headers = {{ X-Team = "ops" }}
        connect_timeout = "2s"
        http_timeout = 3
        report_timeout = 4.5
        rate_limit_wait = "1m30s"
        keep_runs = 5
        keep_days = 6
        keep_log_mb = 7
        redact = ["a+"]
        timeout = "1h"

        [monitors.backup]
        id = "clxxx"
        timeout = "5m"
        kill_after = 30
        success_codes = [0, 24]
        min_duration = "10s"
        tolerate = 2
        output = "on-failure"
        no_start = true
        no_log = false
        meta_regex = 'copied (?P<files>\\d+)'
        redact = ["b+", "c+"]
        """,
    )
    assert loaded.problems == ()
    found = loaded.settings
    assert key_of(loaded) == KEY
    assert found.token
    assert found.token.value == ("pass", "show", "crontify token")
    assert found.base_url == "https://crontify.example/api/v1"
    assert found.allow_http is True
    assert found.proxy == Secret("http://user:secret@proxy.example:3128")
    assert found.ca_bundle == str(home / ".config/crontify/ca.pem")
    assert found.headers == {"X-Team": Secret("ops")}
    assert (found.connect_timeout, found.http_timeout) == (2, 3)
    assert (found.report_timeout, found.rate_limit_wait) == (4.5, 90)
    assert (found.keep_runs, found.keep_days, found.keep_log_mb) == (5, 6, 7)
    assert found.monitor("backup") == MonitorSettings(
        id="clxxx",
        timeout=300,
        kill_after=30,
        success_codes=((0, 0), (24, 24)),
        min_duration=10,
        tolerate=2,
        output="on-failure",
        start="never",
        no_log=False,
        meta_regex=(r"copied (?P<files>\d+)",),
        redact=("a+", "b+", "c+"),
    )
    assert found.monitor("other") == MonitorSettings(id="other", timeout=3600, redact=("a+",))


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(home: Path) -> None:
    text = 'base_url = "https://file.example"'
    environ = {"CRONTIFY_BASE_URL": "https://env.example/"}
    flag = "https://flag.example"
    assert read(home, text, environ, base_url=flag).settings.base_url == flag
    assert read(home, text, environ).settings.base_url == "https://env.example"
    assert read(home, text).settings.base_url == "https://file.example"
    assert read(home, text, {"CRONTIFY_BASE_URL": ""}).settings.base_url == "https://file.example"


def test_a_flag_beats_a_monitors_section_and_lists_add_up(home: Path) -> None:
    text = 'timeout = 1\nredact = ["a"]\n[monitors.x]\ntimeout = 2\nredact = ["b"]'
    loaded = read(home, text, timeout=3.0, redact=["c"], success_codes=((0, 0), (2, 5)))
    found = loaded.settings.monitor("x")
    assert (found.timeout, found.redact) == (3.0, ("a", "b", "c"))
    assert found.success_codes == ((0, 0), (2, 5))
    assert loaded.settings.monitor("y").timeout == 3.0


def test_the_key_comes_from_the_strongest_place_that_has_one(home: Path) -> None:
    text = f'api_key = "{KEY}"'
    systemd = home / "credentials"
    systemd.mkdir()
    environ = {
        "CRONTIFY_API_KEY": OTHER_KEY,
        "CRONTIFY_API_KEY_FILE": "/from/environment",
        "CREDENTIALS_DIRECTORY": str(systemd),
    }
    assert key_of(read(home, text, environ, api_key_file="/from/flag")) == "/from/flag"
    assert key_of(read(home, text, environ)) == OTHER_KEY
    del environ["CRONTIFY_API_KEY"]
    assert key_of(read(home, text, environ)) == "/from/environment"
    del environ["CRONTIFY_API_KEY_FILE"]
    assert key_of(read(home, text, environ)) == KEY
    (systemd / "crontify-api-key").write_text(OTHER_KEY)
    assert key_of(read(home, text, environ)) == str(systemd / "crontify-api-key")


def test_the_first_place_that_has_a_file_is_read(home: Path, tmp_path: Path) -> None:
    site = tmp_path / "etc-xdg/crontify/config.toml"
    site.parent.mkdir(parents=True)
    site.write_text("keep_runs = 1")
    assert load(environ={}).file == str(site)
    assert load(environ={}).settings.keep_runs == 1
    users = write(home, "keep_days = 2")
    assert load(environ={}).file == users
    assert load(environ={}).settings.keep_runs == 10_000
    named = tmp_path / "named.toml"
    named.write_text("keep_days = 3")
    assert load(environ={"CRONTIFY_CONFIG": str(named)}).settings.keep_days == 3
    assert load(str(named), {"CRONTIFY_CONFIG": users}).settings.keep_days == 3
    assert load(os.devnull, {}).settings.keep_days == 90


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("keep_runz = 1", "keep_runz", "unknown key; did you mean keep_runs?"),
        ("[monitors.a]\ntimout = 1", "monitors.a.timout", "unknown key; did you mean timeout?"),
        ('id = "x"', "id", "only allowed in [monitors.NAME]"),
        (
            '[monitors.a]\napi_key = "x"',
            "monitors.a.api_key",
            "only allowed at the top of the file",
        ),
        ('[monitors.a]\ntimeout = "5 minutes"', "monitors.a.timeout", "invalid duration"),
        ("timeout = true", "timeout", "invalid duration"),
        ("timeout = -1", "timeout", "invalid duration"),
        ("timeout = inf", "timeout", "invalid duration"),
        ("timeout = nan", "timeout", "invalid duration"),
        ('timeout = "99999d"', "timeout", "invalid duration"),
        ("http_timeout = 0", "http_timeout", "greater than zero"),
        ('keep_runs = "5"', "keep_runs", "whole number"),
        ("keep_runs = true", "keep_runs", "whole number"),
        ("keep_runs = -1", "keep_runs", "whole number"),
        ("keep_runs = 9999999", "keep_runs", "whole number"),
        ('allow_http = "yes"', "allow_http", "not a boolean"),
        ("success_codes = []", "success_codes", "list of exit codes is empty"),
        ("success_codes = [256]", "success_codes", "invalid exit codes"),
        ("success_codes = [true]", "success_codes", "invalid exit codes"),
        ('success_codes = "a"', "success_codes", "invalid list of exit codes"),
        ('output = "some"', "output", "expected one of all, on-failure, none"),
        ('redact = "("', "redact", "invalid regular expression"),
        ('redact = ["a", 1]', "redact", "not a string"),
        ('meta_regex = "(a)"', "meta_regex", "no named group"),
        ('base_url = "ftp://host"', "base_url", "invalid URL"),
        ('base_url = "https://"', "base_url", "invalid URL"),
        ('base_url = "https://u:hunter2@host"', "base_url", "must not contain a user"),
        ('base_url = "https://host/?a=b"', "base_url", "must not contain a query"),
        ('base_url = "https://host:99999"', "base_url", "check the host and the port"),
        ('base_url = "https://ho st"', "base_url", "a space"),
        ('proxy = "host:3128"', "proxy", "invalid URL"),
        ("ca_bundle = 1", "ca_bundle", "not a string"),
        ('api_key_file = ""', "api_key_file", "not a file name"),
        ("api_key_command = []", "api_key_command", "names no program"),
        ('api_key_command = "a \'b"', "api_key_command", "no closing quotation"),
        ('headers = "a"', "headers", "not a table"),
        ('[headers]\n"a b" = "c"', 'headers."a b"', "not a valid header name"),
        ('[headers]\nA = "b\\r\\nC: hunter2"', "headers.A", "invalid header value"),
        (
            '[headers]\nx-api-key = "hunter2"',
            "headers.x-api-key",
            "crontify sets this header itself",
        ),
        ('monitors = "a"', "monitors", "not a table"),
        ("[monitors]\na = 1", "monitors.a", "not a table; write [monitors.a]"),
        ('[monitors."a/b"]\nid = "x"', 'monitors."a/b"', "invalid monitor"),
        ('[monitors.a]\nid = "../x"', "monitors.a.id", "invalid monitor"),
        ('[monitors."a.b"]\nx = 1', 'monitors."a.b".x', "unknown key"),
        ('"a\\nb\\u001b[31m" = 1', r'"a\nb\x1b[31m"', "unknown key"),
        ('api_key = "hunter2 is secret"', "api_key", "not a key or token"),
        ('api_key = ""', "api_key", "empty"),
        ('token = "hunter2\\u0007"', "token", "not a key or token"),
        ("token = 5", "token", "not a string"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_full_path_and_left_out(
    home: Path, text: str, path: str, says: str
) -> None:
    loaded = read(home, f"keep_days = 5\n{text}")
    (problem,) = loaded.problems
    assert problem.startswith(f"{loaded.file}: {path}: ")
    assert says in problem
    assert problem.isprintable()
    assert "hunter2" not in problem
    # The rest of the file still holds, and what is wrong falls back to the default.
    defaults = load(os.devnull, {}).settings
    if path == "base_url":
        defaults = defaults._replace(base_url="")  # but nothing goes to the default server
    assert loaded.settings._replace(keep_days=90, monitors={}) == defaults


def test_of_a_credential_only_one_may_stand_in_the_file(home: Path) -> None:
    loaded = read(home, f'api_key_file = "/x"\napi_key = "{KEY}"')
    (problem,) = loaded.problems
    assert "set only one of api_key, api_key_file" in problem
    assert key_of(loaded) == KEY


def test_a_wrong_variable_or_flag_is_named_and_the_next_level_holds(home: Path) -> None:
    environ = {"CRONTIFY_BASE_URL": "nonsense", "CRONTIFY_API_KEY": "hunter2 x"}
    loaded = read(home, f'api_key = "{KEY}"', environ, base_url="https://")
    assert [problem.partition(":")[0] for problem in loaded.problems] == [
        "--base-url",
        "CRONTIFY_API_KEY",
        "CRONTIFY_BASE_URL",
    ]
    assert "hunter2" not in str(loaded)
    assert key_of(loaded) == KEY
    # Nothing must go to another server than the one that was meant.
    assert loaded.settings.base_url == ""
    assert [line.partition(":")[0] for line in loaded.obstacles] == [
        *("--base-url", "CRONTIFY_API_KEY", "CRONTIFY_BASE_URL")
    ]


def test_require_lists_every_problem_on_a_line_of_its_own(home: Path) -> None:
    with pytest.raises(CrontifyError) as caught:
        require(read(home, "a = 1\nb = 2"))
    assert caught.value.exit_code == 1
    assert len(caught.value.message.splitlines()) == 2


def test_a_file_of_another_kind_is_not_listed_line_by_line(home: Path) -> None:
    problems = read(home, "".join(f"k{n} = 1\n" for n in range(10_000))).problems
    assert len(problems) == 101
    assert problems[-1] == "and 9900 more"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a = ", "not valid TOML"),
        (b"a = 1\nb = 2\n\xff", "not valid UTF-8 (at line 3)"),
        (b"a = " + b"[" * 100_000, "not valid TOML: nested too deeply"),
        (b"a = " + b"1" * 10_000, "not valid TOML"),
        (b"a = 2020-99-99", "not valid TOML"),
        (b".".join([b"a"] * 500_000) + b" = 1", "too many dots on a line"),
        (b"# " + b"x" * 1024 * 1024, "the file is larger than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem(home: Path, content: bytes, says: str) -> None:
    file = Path(write(home, ""))
    file.write_bytes(content)
    (problem,) = load(environ={}).problems
    assert problem.startswith(f"{file}: {says}")


def test_a_mark_of_byte_order_is_no_problem(home: Path) -> None:
    assert read(home, "\ufeffkeep_runs = 3").settings.keep_runs == 3


def test_what_is_no_regular_file_is_a_problem_and_never_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    started = time.monotonic()
    for file in (fifo, tmp_path, Path("/dev/zero"), Path("/dev/tty")):
        (problem,) = load(str(file), {}).problems
        assert str(file) in problem
    assert time.monotonic() - started < 30


def test_a_named_file_has_to_exist(tmp_path: Path) -> None:
    for missing in ("missing.toml", "a\nb.toml"):
        name = str(tmp_path / missing)
        for loaded in (load(name, {}), load(environ={"CRONTIFY_CONFIG": name})):
            (problem,) = loaded.problems
            assert "No such file" in problem
            assert problem.isprintable()
            assert loaded.file == name


def test_others_who_can_read_a_secret_are_warned_of(home: Path) -> None:
    file = Path(write(home, f'api_key = "{KEY}"'))
    assert load(environ={}).warnings == ()
    file.chmod(0o640)
    (warning,) = load(environ={}).warnings
    assert warning == (
        f"{file} contains api_key and is readable by others (mode 0640); run: chmod 600 {file}"
    )
    assert key_of(load(environ={})) == KEY
    for harmless in ("keep_runs = 1", 'proxy = "http://proxy.example"'):
        file.write_text(harmless)
        assert load(environ={}).warnings == ()
    file.write_text('proxy = "http://u:p@proxy.example"')
    assert len(load(environ={}).warnings) == 1


def test_others_who_can_read_a_key_file_are_warned_of(home: Path) -> None:
    key = home / "key"
    key.write_text(KEY)
    key.chmod(0o604)
    write(home, f'api_key_file = "{key}"')
    (warning,) = load(environ={}).warnings
    assert f"{key} is the api_key_file and is readable by others (mode 0604); run: chmod" in warning
    key.chmod(0o600)
    assert load(environ={}).warnings == ()


def test_a_secret_does_not_show_itself(home: Path) -> None:
    loaded = read(
        home,
        f'api_key = "{KEY}"\ntoken = "eyJhbGciOi.{KEY}"\nproxy = "http://u:{KEY}@p"\n'
        f'[headers]\nX-Proxy = "{KEY}"',
    )
    assert loaded.problems == ()
    assert KEY not in f"{loaded} {loaded!r} {loaded.settings.api_key} {loaded.settings.proxy}"


def test_the_table_the_types_and_the_flags_fit_together() -> None:
    of_monitor = {*MonitorSettings._fields} - {"obstacle"} | {"no_start"}  # means start = "never"
    fields = {*Settings._fields, *of_monitor} - {"every_monitor", "monitors"}
    trios = {name for names in keys.CREDENTIALS.values() for name in names}
    assert set(keys.BY_NAME) == fields | trios
    assert {key.name for key in keys.KEYS if key.scope != "top"} == of_monitor
    for key in keys.KEYS:
        assert key.help
        assert key.default is None or key.kind.read(key.default) == key.default
    flags = {option.name for option in options.OPTIONS}
    # What is to be masked on a host is not decided by the line of a crontab.
    assert {key.name for key in keys.KEYS if key.scope == "both"} <= {*flags, "mask_shapes"}


def test_loading_brings_in_nothing_heavy(home: Path) -> None:
    write(home, f'api_key = "{KEY}"\n[monitors.a]\ntimeout = "5m"')
    heavy = "typer rich httpx h11 subprocess dataclasses logging argparse inspect tomli_w sqlite3"
    program = (
        "import sys; from crontify_cli.config import load; print('tomllib' in sys.modules);"
        f"load('/dev/null'); print('tomllib' in sys.modules); load();"
        f"print(*set('{heavy}'.split()) & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out == "False\nFalse\n\n"


toml_values = st.recursive(
    st.none().map(lambda _: "")
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.datetimes()
    | st.sampled_from(["5m", "0,2-5", "https://host", KEY, "all", "(?P<a>1)"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from([*keys.BY_NAME, "monitors", "api-key"]) | st.text(max_size=8)
sections = st.dictionaries(st.text(max_size=5), st.dictionaries(names, toml_values, max_size=6))
documents = st.builds(
    lambda top, monitors: {**top, **({"monitors": monitors} if monitors else {})},
    st.dictionaries(names, toml_values, max_size=8),
    sections,
)


def fits(value: object, annotation: Any) -> bool:
    """Whether `value` is of the type that a field is annotated with, as far as it can be seen."""
    if choices := [c for c in get_args(annotation) if isinstance(c, type)]:
        origin = get_origin(annotation)
        return isinstance(value, tuple(choices) if origin in (Union, UnionType) else origin)
    return isinstance(value, annotation)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(documents)
def test_no_document_makes_the_loader_raise_and_every_type_is_as_annotated(
    home: Path, document: dict[str, Any]
) -> None:
    loaded = read(home, tomli_w.dumps(document))
    assert all(problem.isprintable() for problem in loaded.problems)
    found = loaded.settings
    for tuple_ in (found, found.every_monitor, *found.monitors.values()):
        for name, annotation in get_type_hints(type(tuple_)).items():
            assert fits(getattr(tuple_, name), annotation), name


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_make_the_loader_raise(home: Path, content: bytes) -> None:
    Path(write(home, "")).write_bytes(content)
    assert all(problem.isprintable() for problem in load(environ={}).problems)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([key.env for key in keys.KEYS if key.env] + ["CREDENTIALS_DIRECTORY"]),
        st.text() | st.binary().map(os.fsdecode),
    )
)
def test_no_environment_makes_the_loader_raise(environ: dict[str, str]) -> None:
    assert all(problem.isprintable() for problem in load(environ=environ).problems)


def test_an_unreadable_file_is_a_problem(home: Path) -> None:
    file = Path(write(home, "keep_runs = 1"))
    file.chmod(0)
    loaded = load(environ={})
    if os.geteuid() == 0:
        assert stat.S_IMODE(file.stat().st_mode) == 0  # root reads it all the same
        assert loaded.settings.keep_runs == 1
    else:
        assert loaded.problems == (f"{file}: Permission denied",)
