"""What a person sees when something goes wrong: one line and an exit code, never a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.programs import PROGRAM
from tests.server import ApiServer, settings

SECRET = "Zq8Vt3Nw6Rx1Ky5P"
PRINTING = [["config", "list", "--json"], ["runs", "--json"], ["--help"], ["--version"]]


@pytest.fixture
def broken(tmp_path: Path) -> "Broken":
    return Broken(tmp_path / "site")


class Broken:
    """Makes an environment in which a function of ours fails, by a real sitecustomize."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def __call__(self, module: str, name: str, raises: str) -> dict[str, str]:
        (self._folder / "sitecustomize.py").write_text(
            f"import {module} as module\n"
            f"def fail(*_, **__):\n    local = {SECRET!r}\n    raise {raises}\n"
            f"module.{name} = fail\n"
        )
        return {"PYTHONPATH": str(self._folder)}


def tracebacks(home: Path) -> list[Path]:
    return sorted((home / ".local/state/crontify/errors").glob("*"))


def test_an_internal_error_is_one_line_that_names_a_private_file(
    crontify: Crontify, broken: Broken, home: Path
) -> None:
    env = broken("crontify_cli.config", "load", "KeyError('rows')")
    done = crontify("config", "list", "--json", env=env)
    assert (done.returncode, done.stdout) == (70, "")
    (line,) = done.stderr.splitlines()
    (file,) = tracebacks(home)
    assert line.startswith("crontify: internal error: KeyError: 'rows' (cli/client.py:")
    assert str(file) in line
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    text = file.read_text()
    assert "Traceback (most recent call last)" in text
    assert "in list_" in text
    assert "command: config\n" in text
    assert "--json" not in text


def test_the_file_holds_no_secret_and_no_local_variable(
    crontify: Crontify, broken: Broken, home: Path
) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.touch(0o600)
    config.write_text(f'api_key = "abcd{SECRET}"\n[headers]\nX-A = "efgh{SECRET}"\n')
    url = f"http://user:ijkl{SECRET}@proxy"
    env = broken(
        "crontify_cli.cli.config_show",
        "list_settings",
        "ValueError(f'abcd{local} efgh{local} {module.os.environ}')",
    ) | {"MY_TOKEN": f"mnop{SECRET}", "HTTPS_PROXY": url}
    site = Path(env["PYTHONPATH"], "sitecustomize.py")
    site.write_text(site.read_text() + "import os\nmodule.os = os\n")
    done = crontify("config", "list", env=env)
    assert done.returncode == 70
    (file,) = tracebacks(home)
    text = file.read_text()
    assert "[masked]" in text
    for secret in ("abcd", "efgh", "ijkl", "mnop"):
        assert secret + SECRET not in text + done.stderr
    assert "local = " not in text


def test_only_the_newest_files_are_kept(crontify: Crontify, broken: Broken, home: Path) -> None:
    env = broken("crontify_cli.config", "load", "KeyError")
    folder = home / ".local/state/crontify/errors"
    folder.mkdir(parents=True, mode=0o700)
    for number in range(12):
        (folder / f"20200101T0000{number:02d}Z-1-000000.txt").touch()
    assert crontify("config", "list", env=env).returncode == 70
    kept = [file.name for file in tracebacks(home)]
    assert len(kept) == 10
    assert kept[0] == "20200101T000003Z-1-000000.txt"


def test_without_a_place_for_the_file_the_line_still_comes(
    crontify: Crontify, broken: Broken, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    env = broken("crontify_cli.config", "load", "KeyError") | {
        "CRONTIFY_STATE_DIR": str(tmp_path / "file/state")
    }
    done = crontify("config", "list", env=env)
    assert done.returncode == 70
    assert len(done.stderr.splitlines()) == 1
    assert "the traceback could not be written to a file: Not a directory" in done.stderr


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("crontify_cli.report.verdict", "judge"),
        ("crontify_cli.job.relay", "Relay.until_exit"),
        ("crontify_cli.job.supervisor", "Supervisor.run"),
        ("crontify_cli.report.compose", "compose"),
    ],
)
def test_the_job_goes_on_when_what_watches_it_fails(
    crontify: Crontify, broken: Broken, home: Path, api: ApiServer, module: str, name: str
) -> None:
    keyed = settings(api)
    env = broken(module, name, "RuntimeError('a fault')") | keyed
    job = "echo out; echo err >&2; sleep 0.5; echo later; exit 7"
    done = crontify("exec", "backup", "--", "sh", "-c", job, env=env)
    assert done.returncode == 7
    assert done.stdout == "out\nlater\n"
    said = done.stderr.replace("err\n", "", 1).splitlines()
    assert [line for line in said if "internal error: RuntimeError: a fault" in line] == said
    assert len(tracebacks(home)) == 1
    # And the next process reports it.
    assert crontify("flush", env=keyed).returncode == 0
    assert api.kinds()[-1] == "fail"


def test_a_job_that_cannot_start_keeps_its_code_when_we_fail_as_well(
    crontify: Crontify, broken: Broken
) -> None:
    env = broken("crontify_cli.report.verdict", "judge", "RuntimeError")
    done = crontify("exec", "backup", "--", "/no/such", env=env)
    assert done.returncode == 127
    assert "/no/such: command not found" in done.stderr


@pytest.mark.parametrize(
    ("args", "says", "path"),
    [
        (["exce"], "no such command 'exce'. Did you mean 'exec'?", "crontify"),
        (["config", "lst"], "no such command 'lst'. Did you mean 'list'", "crontify config"),
        (["flush", "--quite"], "no such option: --quite. Did you mean '--quiet'?", "flush"),
        (["exec", "--overlp", "skip", "a", "b"], "Did you mean '--overlap'?", "crontify exec"),
        (["exec", "a", "--timeot=5", "--", "b"], "Did you mean '--timeout'?", "crontify exec"),
        (["exec", "a"], "missing argument 'COMMAND...'.", "crontify exec"),
        (["config", "set"], "missing argument 'KEY'.", "crontify config set"),
        (["help", "exce"], "Did you mean 'exec'?", "crontify"),
    ],
)
def test_a_mistyped_word_is_one_line_with_the_nearest_right_one(
    crontify: Crontify, args: list[str], says: str, path: str
) -> None:
    done = crontify(*args)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("crontify: ")
    assert says in line
    assert line.endswith(f"{path} --help")


def test_a_key_typed_in_the_wrong_place_is_not_repeated(crontify: Crontify) -> None:
    key = f"ck_live_{SECRET}"
    for args in ([key], ["config", key], ["flush", "--wait", key], ["exec", f"{key}!", "--", "a"]):
        done = crontify(*args)
        assert done.returncode == 2
        assert key not in done.stderr


@pytest.mark.parametrize("args", PRINTING)
def test_a_reader_that_leaves_ends_it_quietly(args: list[str], home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, *args]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")
    assert tracebacks(home) == []


@pytest.mark.parametrize("args", PRINTING)
def test_a_full_disk_under_stdout_is_said(args: list[str], home: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [*PROGRAM, *args]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"crontify: cannot write to stdout: No space left on device\n"
    assert tracebacks(home) == []


def test_closed_standard_streams_are_no_fault(crontify: Crontify, home: Path) -> None:
    command = f"'{sys.executable}' -m crontify_cli config list <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0
    assert tracebacks(home) == []


def test_ctrl_c_is_130_without_a_word(broken: Broken, home: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    env = broken("crontify_cli.config", "load", "SystemExit")
    site = Path(env["PYTHONPATH"], "sitecustomize.py")
    site.write_text(
        f"import time\nimport crontify_cli.config\n"
        f"def wait(*_):\n    open({str(fifo)!r}, 'w').close()\n    time.sleep(60)\n"
        "crontify_cli.config.load = wait\n"
    )
    command = [*PROGRAM, "config", "list"]
    process = subprocess.Popen(
        command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    fifo.read_bytes()  # it waits
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, b"")
    assert tracebacks(home) == []


def test_without_a_command_and_with_help_the_commands_are_shown(crontify: Crontify) -> None:
    alone, asked, flag = crontify(), crontify("help"), crontify("--help")
    assert (alone.returncode, asked.returncode, flag.returncode) == (2, 0, 0)
    assert asked.stdout == flag.stdout
    assert alone.stdout.strip() == flag.stdout.strip()
    assert "exec" in flag.stdout
    assert crontify("help", "config", "set").stdout == crontify("config", "set", "--help").stdout
