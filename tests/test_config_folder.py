"""conf.d/*.toml next to a config file: merged in order, each file checked and trusted by itself."""

import json
import os
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from crontify_cli import places
from crontify_cli.config import Secret, load
from tests.conftest import Crontify
from tests.server import KEY, ApiServer
from tests.users import User

JOB = ("--", "sh", "-c", "echo out; exit 7")
OTHER_KEY = "ck_live_Hb2Jd7Lf4Mg9Sc0T5678"


@pytest.fixture
def config(home: Path) -> Path:
    """The place of the user's config file, in a folder of its own."""
    path = home / ".config/crontify/config.toml"
    path.parent.mkdir(parents=True, mode=0o700)
    return path


@pytest.fixture
def folder(config: Path) -> Path:
    path = config.parent / "conf.d"
    path.mkdir(mode=0o755)
    return path


def write(file: Path, text: str, mode: int = 0o600) -> Path:
    file.write_text(text)
    file.chmod(mode)
    return file


def test_files_are_read_in_the_byte_order_of_their_names_and_later_ones_win(
    config: Path, folder: Path
) -> None:
    write(config, "keep_runs = 1\nkeep_days = 1\n[monitors.a]\ntimeout = 1\nid = 'main'\n")
    names = [b"10-x.toml", b"9-x.toml", b"Z.toml", b"a.toml", "ä.toml".encode(), b"\xff.toml"]
    for at, name in enumerate(reversed(names)):  # not the order in which they are made
        number = len(names) - at
        file = folder / os.fsdecode(name)
        write(file, f"keep_runs = {number + 1}\n[monitors.m{number}]\n[monitors.a]\ntolerate = 1\n")
    loaded = load(environ={})
    assert loaded.problems == loaded.warnings == ()
    assert [os.fsencode(Path(file).name) for file in loaded.files] == [b"config.toml", *names]
    found = loaded.settings
    assert (found.keep_runs, found.keep_days) == (7, 1)
    assert list(found.monitors) == ["a", "m1", "m2", "m3", "m4", "m5", "m6"]
    assert found.monitor("a")[:2] == ("main", 1)
    assert found.monitor("a").tolerate == 1


def test_what_editors_and_packagers_leave_there_is_not_read(config: Path, folder: Path) -> None:
    write(config, "keep_runs = 1")
    for name in (
        *(".x.toml.swp", "x.toml~", ".hidden.toml", ".toml", "#x.toml#", "x.toml.bak"),
        *("x.toml.dpkg-new", "x.TOML", "README", "x.toml.d"),
    ):
        write(folder / name, "not TOML at all")
    (folder / ".#x.toml").symlink_to("user@host.123")  # as Emacs locks a file
    (folder / "deeper").mkdir()
    write(folder / "deeper/y.toml", "not TOML at all")
    loaded = load(environ={})
    assert (loaded.files, loaded.problems) == ((str(config),), ())


def test_a_folder_alone_makes_a_place_that_is_read(folder: Path, tmp_path: Path) -> None:
    site = tmp_path / "etc-xdg/crontify/config.toml"
    (site.parent / "conf.d").mkdir(parents=True)
    write(site, "keep_days = 1")
    added = write(site.parent / "conf.d/x.toml", "keep_runs = 2")
    loaded = load(environ={})
    assert loaded.files == (str(site), str(added))  # an empty folder is no reason to read it
    assert (loaded.settings.keep_days, loaded.settings.keep_runs) == (1, 2)
    site.unlink()
    assert load(environ={}).files == (str(added),)
    own = write(folder / "own.toml", "keep_runs = 3")
    assert load(environ={}).files == (str(own),)


def test_a_named_file_has_the_folder_next_to_it(
    config: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "not-this.toml", "keep_runs = 1")
    (tmp_path / "conf.d").mkdir()
    added = write(tmp_path / "conf.d/x.toml", "keep_runs = 2")
    named = write(tmp_path / "named.toml", "")
    for loaded in (load(str(named), {}), load(environ={"CRONTIFY_CONFIG": str(named)})):
        assert loaded.files == (str(named), str(added))
    monkeypatch.chdir(tmp_path)
    assert load("named.toml", {}).settings.keep_runs == 2
    assert load(os.devnull, {}).files == (os.devnull,)
    (problem,) = load("missing.toml", {}).problems
    assert "cannot read missing.toml: No such file" in problem


def test_another_way_to_give_the_key_in_a_later_file_wins(config: Path, folder: Path) -> None:
    write(config, f'api_key = "{KEY}"\ntoken_file = "/t"')
    write(folder / "a.toml", 'api_key_file = "key"')
    loaded = load(environ={})
    assert loaded.problems == ()
    assert loaded.settings.api_key
    assert loaded.settings.api_key.value == str(folder / "key")
    assert loaded.settings.api_key.setting == f"{folder}/a.toml: api_key_file"
    assert "api_key" not in loaded.values
    write(folder / "b.toml", f'api_key = "{OTHER_KEY}"')
    key = load(environ={}).settings.api_key
    assert key
    assert key.value == Secret(OTHER_KEY)


def test_patterns_and_headers_of_all_files_apply_together(config: Path, folder: Path) -> None:
    """A file that a package drops must not turn off what the others mask."""
    write(config, 'redact = ["a"]\n[headers]\nA = "1"\nB = "1"\n[monitors.m]\nredact = "b"')
    write(folder / "x.toml", 'redact = ["c"]\n[headers]\nB = "2"\n[monitors.m]\nredact = ["d"]')
    loaded = load(environ={})
    assert loaded.settings.monitor("m").redact == ("a", "c", "b", "d")
    assert loaded.settings.every_monitor.redact == ("a", "c")
    assert loaded.settings.headers == {"A": Secret("1"), "B": Secret("2")}
    shown = loaded.values["monitors.m.redact"]
    assert (shown.typed, shown.where) == (("b", "d"), f"{config}, {folder}/x.toml")


def test_the_later_of_start_and_no_start_wins(config: Path, folder: Path) -> None:
    write(config, '[monitors.a]\nstart = "always"\n[monitors.b]\nno_start = true')
    write(folder / "x.toml", '[monitors.a]\nno_start = true\n[monitors.b]\nstart = "always"')
    found = load(environ={}).settings
    assert (found.monitor("a").start, found.monitor("b").start) == ("never", "always")


def test_a_wrong_server_counts_unless_a_later_file_names_another(
    config: Path, folder: Path
) -> None:
    write(config, 'base_url = "nonsense"')
    write(folder / "x.toml", 'base_url = "https://right.example"')
    loaded = load(environ={})
    assert len(loaded.problems) == 1
    assert (loaded.obstacles, loaded.settings.base_url) == ((), "https://right.example")
    write(folder / "y.toml", 'base_url = "nonsense"')
    loaded = load(environ={})
    assert loaded.obstacles == (loaded.problems[1],)
    assert loaded.problems[1].startswith(f"{folder}/y.toml: base_url: ")
    assert loaded.settings.base_url == ""


def test_a_wrong_header_or_pattern_counts_whatever_later_files_add(
    config: Path, folder: Path
) -> None:
    write(config, 'redact = "("\n[headers]\nA = "b\\nc"')
    write(folder / "x.toml", 'redact = "a"\n[headers]\nB = "b"')
    assert len(load(environ={}).obstacles) == 2


def pings(api: ApiServer) -> list[str]:
    """Return `ID/KIND` of each ping that the server has accepted."""
    return [request.path.partition("/ping/")[2] for request in api.accepted]


def broken(how: str, file: Path) -> str:
    """Put something into the folder that cannot be read; return what is said of it."""
    if how == "syntax":
        write(file, "[monitors.x")
        return f"{file}: not valid TOML"
    if how == "FIFO":
        os.mkfifo(file)
    elif how == "directory":
        file.mkdir()
    else:
        file.symlink_to("nowhere")
        return f"cannot read {file}: No such file or directory"
    return f"{file}: not a regular file"


@pytest.mark.parametrize("how", ["syntax", "FIFO", "directory", "dangling link"])
def test_a_broken_file_leaves_the_others_in_force_and_the_report_waits_for_its_correction(
    crontify: Crontify, api: ApiServer, config: Path, folder: Path, how: str
) -> None:
    write(config, f'api_key = "{KEY}"\nbase_url = "{api.url}"\n')
    write(folder / "a.toml", "[monitors.backup]\nid = 'clbackup'\nsuccess_codes = 7\n")
    said = broken(how, folder / "b.toml")
    write(folder / "c.toml", "[monitors.other]\ntimout = 5\n")
    done = crontify("exec", "backup", *JOB)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr.count(said) == 1
    assert f"{folder}/c.toml: monitors.other.timout: unknown key; did you mean" in done.stderr
    assert "the report is not sent" in done.stderr
    assert api.requests == []
    assert crontify("__complete", "monitors").stdout.split("\t")[0] == "backup"
    broken_file = folder / "b.toml"
    broken_file.rmdir() if how == "directory" else broken_file.unlink()
    assert crontify("flush").returncode == 0
    assert pings(api) == ["clbackup/success"]


def test_a_wrong_setting_of_one_monitor_keeps_no_report_of_another(
    crontify: Crontify, api: ApiServer, env: dict[str, str], config: Path, folder: Path
) -> None:
    write(folder / "a.toml", "[monitors.a]\nid = 'a b'\n")
    write(folder / "b.toml", "[monitors.b]\nid = 'clb'\n")
    done = crontify("exec", "b", "--", "true", env=env)
    assert f"{folder}/a.toml: monitors.a.id: invalid monitor" in done.stderr
    assert pings(api) == ["clb/start", "clb/success"]
    assert "the report is not sent" in crontify("exec", "a", "--", "true", env=env).stderr


def test_a_file_that_vanishes_after_the_listing_is_no_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = write(folder / "a.toml", "keep_runs = 1")
    listed: Callable[[str], list[str]] = places.files_in
    monkeypatch.setattr(
        "crontify_cli.config.file.files_in", lambda name: [*listed(name), f"{name}/gone.toml"]
    )
    loaded = load(environ={})
    assert (loaded.problems, loaded.files) == ((), (str(kept),))


def test_a_folder_that_is_none_or_cannot_be_listed_is_a_problem(
    bob: User, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config, "")
    write(config.parent / "conf.d", "")
    assert load(environ={}).problems == (f"cannot read {config.parent}/conf.d: Not a directory",)
    bob.shell("mkdir -p .config/crontify/conf.d; chmod 0 .config/crontify/conf.d; touch found")
    monkeypatch.setenv("HOME", str(bob.home))
    child = os.fork()
    if child == 0:  # everything is loaded already: the user cannot read this source tree
        try:
            os.setuid(bob.uid)
            (bob.home / "found").write_text("\n".join(load(environ={}).problems))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    said = f"cannot read {bob.home}/.config/crontify/conf.d: Permission denied"
    assert (bob.home / "found").read_text() == said


def untrusted(crontify: Crontify, api: ApiServer) -> str:
    """Run a job, whose report is then not sent; return what was said."""
    done = crontify("exec", "backup", *JOB, env={"CRONTIFY_API_KEY": KEY})
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert "the report is not sent" in done.stderr
    assert api.requests == []
    return done.stderr


@pytest.mark.parametrize("loose", ["x.toml", "conf.d", "sticky conf.d", "crontify"])
def test_what_others_could_have_put_there_names_no_server_and_runs_no_command(
    crontify: Crontify, api: ApiServer, config: Path, folder: Path, tmp_path: Path, loose: str
) -> None:
    ran = json.dumps(["sh", "-c", f"touch {tmp_path}/ran; echo {KEY}"])
    text = f'base_url = "{api.url}"\ntoken_command = {ran}\nkeep_runs = 5'
    file = write(folder / "x.toml", text)
    place = {"x.toml": file, "crontify": config.parent}.get(loose, folder)
    # Others can add files to a sticky folder, such as links to files of root's.
    place.chmod(0o1777 if "sticky" in loose else 0o722)
    mode = f"(mode {place.stat().st_mode & 0o7777:04o})"
    said = f"{file}: token_command, base_url are not used: others can write to {place} {mode}"
    assert said in untrusted(crontify, api)
    assert load(environ={}).settings.keep_runs == 5
    checks = json.loads(crontify("doctor", "--json").stdout)
    assert f"chmod go-w {place}" in [each["advice"] for each in checks if each["check"] == "config"]
    assert not (tmp_path / "ran").exists()
    file.write_text("keep_runs = 5")
    write(folder / "y.toml", "keep_days = 5")
    if loose == "conf.d":  # said once, not for each file
        said = f"{file}: others can write to {folder} {mode}; run: chmod go-w {folder}"
        assert load(environ={}).warnings == (said,)


def test_a_file_or_a_folder_of_another_user_is_not_trusted(
    crontify: Crontify, api: ApiServer, bob: User, folder: Path
) -> None:
    text = f'base_url = "{api.url}"\n[monitors.backup]\nid = "his"\n'
    file = write(folder / "x.toml", text, 0o644)
    os.chown(file, bob.uid, bob.uid)
    said = untrusted(crontify, api)
    assert f"{file} is not read: it belongs to another user (uid {bob.uid})" in said
    assert "backup" not in crontify("__complete", "monitors", env={"HOME": "/"}).stdout
    os.chown(file, 0, 0)
    os.chown(folder, bob.uid, bob.uid)
    said = untrusted(crontify, api)
    assert f"base_url is not used: {folder} belongs to another user (uid {bob.uid})" in said


def test_a_secret_in_a_file_that_others_can_read_is_warned_of(folder: Path) -> None:
    file = write(folder / "x.toml", f'api_key = "{KEY}"', 0o644)
    (warning,) = load(environ={}).warnings
    assert warning == (
        f"{file} contains api_key and is readable by others (mode 0644); run: chmod 600 {file}"
    )


def test_a_thousand_files_are_read(config: Path, folder: Path) -> None:
    write(config, "timeout = 1")
    for at in range(1000):
        write(folder / f"{at:04}.toml", f'[monitors.m{at}]\nid = "cl{at}"\n')
    loaded = load(environ={})
    assert len(loaded.files) == 1001
    assert loaded.settings.monitor("m999")[:2] == ("cl999", 1)
    assert len(loaded.settings.monitors) == 1000


@pytest.mark.parametrize("mode", [0o644, 0o622])
def test_no_name_of_a_file_adds_to_the_command_that_is_advised(
    crontify: Crontify, folder: Path, mode: int
) -> None:
    """Others may have renamed a file in a folder that they can write to."""
    file = write(folder / "x; run: touch 'made' #.toml", f'api_key = "{KEY}"', mode)
    checks = json.loads(crontify("doctor", "--json").stdout)
    advised = [shlex.split(each["advice"]) for each in checks if "; run" in (each["advice"] or "")]
    assert advised == [["chmod", "600" if mode == 0o644 else "go-w", str(file)]]


def test_no_key_of_a_file_is_taken_for_the_command_that_is_advised(
    crontify: Crontify, config: Path
) -> None:
    write(config, '"; run: touch made" = 1')
    checks = json.loads(crontify("doctor", "--json").stdout)
    advised = [each["advice"] for each in checks if each["check"] == "config"]
    assert advised == ["correct it with crontify config edit"]


# The commands


def test_the_doctor_counts_no_files_where_there_are_none(crontify: Crontify, home: Path) -> None:
    found = {each["check"]: each for each in json.loads(crontify("doctor", "--json").stdout)}
    assert found["config"]["found"] == "no config file; the defaults are used"


def test_the_commands_know_every_file(crontify: Crontify, config: Path, folder: Path) -> None:
    write(config, f'api_key = "{KEY}"\n[monitors.a]\nid = "cla"\n')
    added = write(folder / "b.toml", "[monitors.a]\ntimeout = 5\n[monitors.b]\nid = 'clb'\n")
    rows = json.loads(crontify("config", "list", "--json").stdout)
    sources = {row["key"]: row["from"] for row in rows}
    assert (sources["monitors.a.id"], sources["monitors.b.id"]) == (str(config), str(added))
    assert crontify("config", "get", "monitors.a.timeout").stdout == "5s\n"
    assert crontify("config", "check").stdout == f"{config}: ok\n{added}: ok\n"
    assert crontify("config", "path").stdout == f"{config}\n"
    assert crontify("config", "path", "--all").stdout == f"{config}\n{added}\n"
    shown = crontify("exec", "--dry-run", "a", "--", "true").stdout
    assert f"timeout\t5s\tfile:{added}\n" in shown
    found = {each["check"]: each for each in json.loads(crontify("doctor", "--json").stdout)}
    assert found["config"]["found"] == f"{config}, 1 more file in conf.d, 2 monitors"
    answer = crontify("__complete", "monitors").stdout
    assert answer == "a\tno run yet\nb\tno run yet\n"
    write(folder / "c.toml", "monitors.c.id = 'clc'\n")  # which only a parser can tell
    assert crontify("__complete", "monitors").stdout == answer + "c\tno run yet\n"
    assert crontify("__complete", "monitors", env={"CRONTIFY_CONFIG": "/dev/null"}).stdout == ""


def test_set_and_unset_change_the_main_file_and_say_what_still_holds(
    crontify: Crontify, config: Path, folder: Path
) -> None:
    added = write(folder / "b.toml", '[monitors.a]\ntimeout = 5\nredact = "x"\n')
    key = write(folder / "key.toml", f'api_key = "{KEY}"\n')
    before = added.read_bytes(), key.read_bytes()
    done = crontify("config", "set", "monitors.a.timeout", "9")
    assert (done.returncode, tomllib.loads(config.read_text())["monitors"]["a"]) == (
        0,
        {"timeout": 9},
    )
    has_no_effect = f"monitors.a.timeout in {config} has no effect: {added} sets it, too"
    assert done.stderr == f"crontify: {has_no_effect}\n"
    for harmless in ("monitors.a.redact", "monitors.a.tolerate", "timeout"):
        assert crontify("config", "set", harmless, "1").stderr == ""
    done = crontify("config", "set", "api_key_file", "/k")
    assert f"api_key_file in {config} has no effect: {key} sets it, too" in done.stderr
    done = crontify("config", "unset", "monitors.a.timeout")
    assert done.stderr == f"crontify: monitors.a.timeout is still set in {added}\n"
    done = crontify("config", "unset", "monitors.a.timeout")
    assert done.returncode == 1
    assert f"monitors.a.timeout is not set in {config}, but in {added}" in done.stderr
    assert (added.read_bytes(), key.read_bytes()) == before


def test_a_file_of_the_folder_is_changed_when_it_is_named(
    crontify: Crontify, config: Path, folder: Path
) -> None:
    added = folder / "b.toml"
    done = crontify("--config", str(added), "config", "set", "monitors.b.timeout", "1h")
    assert (done.returncode, done.stderr) == (0, "")
    assert load(environ={}).settings.monitor("b").timeout == 3600
    write(added, "[monitors.b]\ntimout = 1\n")
    checks = json.loads(crontify("doctor", "--json").stdout)
    (advice,) = (each["advice"] for each in checks if each["check"] == "config")
    assert advice == f"correct it with crontify --config {added} config edit"


def test_init_keeps_a_key_of_the_folder_and_says_what_has_no_effect(
    crontify: Crontify, config: Path, folder: Path
) -> None:
    key = write(folder / "key.toml", f'api_key = "{KEY}"\n')
    done = crontify("init", input="\nb=clb\njob\n")
    assert done.returncode == 0, done.stderr
    assert tomllib.loads(config.read_text()) == {"monitors": {"b": {"id": "clb"}}}
    done = crontify("init", input=f"{OTHER_KEY}\nb=clb\njob\n")
    assert f"api_key in {config} has no effect: {key} sets it, too" in done.stderr
    key.write_text("api_key = ")
    done = crontify("init", input="\nb=clb\njob\n")
    assert done.returncode == 1
    assert f"correct the file with crontify --config {key} config edit" in done.stderr
