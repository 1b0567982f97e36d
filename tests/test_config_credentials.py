"""Keys and tokens: fetched from a text, a file or a command, within bounds, and never shown."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.config import api_key, check_base_url, credentials, load, token
from crontify_cli.config.secret import mask
from crontify_cli.config.settings import Settings
from crontify_cli.errors import CrontifyError
from tests.waiting import until_gone, within_any

KEY = "ck_live_Zq8Vt3Nw6Rx1Ky5P1234"


def configured(home: Path, text: str) -> Settings:
    file = home / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    return load(str(file), {}).settings


def by_command(home: Path, program: str) -> Settings:
    """Settings whose key comes from a Python program."""
    script = home / "script.py"
    script.write_text(program)
    return configured(home, f"api_key_command = [{sys.executable!r}, {str(script)!r}]")


def refusal(settings: Settings) -> str:
    with pytest.raises(CrontifyError) as caught:
        api_key(settings)
    assert caught.value.exit_code == 1
    message = caught.value.message
    assert len(message.splitlines()) == 1
    assert "config.toml: api_key_" in message
    return message


def test_where_none_is_configured_there_is_none(home: Path) -> None:
    assert api_key(configured(home, "")) is None
    assert token(configured(home, "")) is None


def test_a_text_is_stripped() -> None:
    settings = load(os.devnull, {"CRONTIFY_API_KEY": f" {KEY}\r\n", "CRONTIFY_TOKEN": "ey.j"})
    assert api_key(settings.settings) == KEY
    assert token(settings.settings) == "ey.j"


@pytest.mark.parametrize("content", [KEY, f"{KEY}\n", f"  {KEY}\r\nsecond line\n", f"{KEY}\n\0"])
def test_the_first_line_of_a_file_is_the_key(home: Path, content: str) -> None:
    (home / "key").write_text(content)
    # Relative to the config file, not to where the job happens to run.
    assert api_key(configured(home, 'api_key_file = "key"')) == KEY
    assert api_key(configured(home, 'api_key_file = "~/key"')) == KEY
    assert token(configured(home, 'token_file = "key"')) == KEY


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "key: empty"),
        (b" \n\r\n\t\n", "key: empty"),
        (b"API_KEY=hunter2", "it looks like NAME=VALUE; write only the VALUE"),
        (b"hunter2 and more", "not a key"),
        (b"hunter2\x00", "not a key"),
        ("hunter2é".encode(), "not a key"),
        (b"hunter2\xff", "not a key"),
        (b"hunter2" * 100_000, "too long"),
    ],
)
def test_what_is_no_key_is_refused_without_showing_it(
    home: Path, content: bytes, says: str
) -> None:
    (home / "key").write_bytes(content)
    message = refusal(configured(home, 'api_key_file = "key"'))
    assert says in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "content",
    [
        "\n\n{}\n",
        "\ufeff{}\r\n",
        "\r\n  {}\r\n",
        '"{}"\n',
        "'{}'\n",
        "CRONTIFY_API_KEY={}\n",
        'export CRONTIFY_API_KEY="{}"\n',
        "{}=\n",  # as base64 ends
    ],
)
def test_a_key_is_read_however_its_file_was_written(home: Path, content: str) -> None:
    (home / "key").write_text(content.format(KEY))
    found = api_key(configured(home, 'api_key_file = "key"'))
    assert found == (f"{KEY}=" if "{}=" in content else KEY)


def test_a_file_that_is_missing_or_no_file_is_named(home: Path) -> None:
    missing = refusal(configured(home, 'api_key_file = "missing"'))
    assert f"cannot read {home}/missing: No such file" in missing
    assert "Is a directory" in refusal(configured(home, 'api_key_file = "."'))
    assert "not a key" in refusal(configured(home, 'api_key_file = "/dev/zero"'))


def test_a_pipe_can_hold_the_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(home / "fifo")
    settings = configured(home, 'api_key_file = "fifo"')
    with monkeypatch.context() as patch:
        patch.setattr(credentials, "OBTAIN_SECONDS", 0.1)
        assert "no data within" in refusal(settings)  # nobody writes
    keep_open = os.open(home / "fifo", os.O_RDWR)
    late = threading.Timer(0.2, os.write, (keep_open, f"{KEY}\n".encode()))
    late.start()
    assert api_key(settings) == KEY
    late.join()
    os.close(keep_open)


def test_the_first_line_of_a_commands_output_is_the_key(home: Path) -> None:
    command = f"printf '{KEY}\\\\n%s' two"
    assert api_key(configured(home, f'api_key_command = "{command}"')) == KEY
    assert token(configured(home, f'token_command = ["printf", "{KEY}\\n$HOME"]')) == KEY


def test_a_command_runs_without_a_shell_and_without_a_terminal(home: Path) -> None:
    settings = by_command(
        home,
        "import os, sys\n"
        "assert sys.stdin.read() == '' and os.getsid(0) == os.getpid()\n"
        f"print('{KEY}')",
    )
    assert api_key(settings) == KEY
    assert "not a key" in refusal(configured(home, f'api_key_command = "echo {KEY} | cat"'))


def test_a_long_output_is_drained_and_only_its_first_line_kept(home: Path) -> None:
    settings = by_command(home, f"print('{KEY}'); print('x' * 5_000_000)")
    assert api_key(settings) == KEY


def test_a_failing_command_gives_no_key_and_shows_nothing_of_its_output(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = by_command(
        home, "import sys; print('hunter2'); print('hunter2', file=sys.stderr); sys.exit(3)"
    )
    message = refusal(settings)
    assert "exited with code 3" in message
    assert "hunter2" not in message + str(capfd.readouterr())
    assert "signal 9" in refusal(by_command(home, "import os; os.kill(os.getpid(), 9)"))
    assert "empty" in refusal(by_command(home, ""))
    nowhere = refusal(configured(home, 'api_key_command = "/no/such/program a"'))
    assert "cannot run /no/such/program: No such file" in nowhere


def test_a_grandchild_that_holds_the_output_is_not_waited_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "OBTAIN_SECONDS", 100.0)
    monkeypatch.chdir(home)
    settings = by_command(
        home,
        "import subprocess\n"
        f"print('{KEY}', flush=True)\n"
        "print(subprocess.Popen(['sleep', '300']).pid, file=open('pid', 'w'))",
    )
    started = time.monotonic()
    try:
        assert api_key(settings) == KEY
        assert time.monotonic() - started < credentials.OBTAIN_SECONDS
    finally:
        os.kill(int((home / "pid").read_text()), 9)


@pytest.mark.parametrize("first", ["", f"print('{KEY}', flush=True)\n"])
def test_a_command_that_does_not_end_is_killed_with_its_children(
    home: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    pid = home / "pid"
    settings = by_command(
        home,
        f"import subprocess, time\n{first}"
        "child = subprocess.Popen(['sleep', '300'])\n"
        "print(child.pid, file=open('pid', 'w'), flush=True)\n"
        "time.sleep(300)",
    )

    def attempt(seconds: float) -> str:
        monkeypatch.setattr(credentials, "OBTAIN_SECONDS", seconds)
        pid.unlink(missing_ok=True)
        said = refusal(settings)
        assert f"killed because it did not end within {seconds:.0f} s" in said
        return pid.read_text() if pid.exists() else ""

    until_gone(int(within_any(attempt, bool)))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://host", True),
        ("http://localhost:8787/api", True),
        ("http://LOCALHOST", True),
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8787", True),
        ("http://host", False),
        ("HTTP://host", False),
        ("http://10.0.0.1", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://127.1", False),
        ("http://[2001:db8::1]", False),
    ],
)
def test_a_key_goes_unencrypted_to_loopback_only(url: str, allowed: bool) -> None:
    loaded = load(os.devnull, {}, {"base_url": url})
    assert loaded.problems == ()
    if allowed:
        check_base_url(loaded.settings)
    else:
        with pytest.raises(CrontifyError, match="allow_http = true"):
            check_base_url(loaded.settings)
        check_base_url(loaded.settings._replace(allow_http=True))


def test_a_mask_shows_what_kind_and_the_last_four() -> None:
    assert mask(KEY) == "ck_live_…1234"
    assert mask("eyJhbGciOiJIUzI1NiJ9.e30.abcd") == "…abcd"


@given(st.text())
def test_a_mask_hides_at_least_twelve_characters_or_all_of_the_secret(text: str) -> None:
    shown = mask(text)
    hidden = len(text) - len(shown.replace("…", ""))
    assert hidden >= 12 or shown in ("…", "ck_live_…", "ck_test_…")
