"""A wrapped service runs the same commands as before, and systemd finds nothing new to say."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crontify_cli.systemd import reach
from crontify_cli.systemd.dropin import Wish, compose
from crontify_cli.systemd.unitfile import assignments
from crontify_cli.systemd.units import Service, Units
from tests.conftest import Crontify
from tests.programs import PROGRAM, need
from tests.server import KEY, ApiServer
from tests.systemd.shapes import REFUSED, TEMPLATES, WRAPPED
from tests.systemd.split import Split, split


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of units, the only one that systemd's programs know."""
    need("systemd-analyze")
    folder = tmp_path / "units"
    folder.mkdir()
    monkeypatch.setenv("SYSTEMD_UNIT_PATH", str(folder))
    return folder


def values(folder: Path, name: str) -> list[str]:
    """Return the ExecStart= of a unit with its drop-in, what was cleared left out."""
    files = [folder / name, *sorted((folder / f"{name}.d").glob("*.conf"))]
    found: list[str] = []
    for each in (each for file in files for each in assignments(file.read_text())):
        if each.key == "ExecStart":
            found = [*found, each.value] if each.value else []
    return found


def commands(folder: Path, name: str) -> list[Split]:
    return [each for value in values(folder, name) for each in split(value)]


def without_exec(command: Split) -> Split:
    """Return what exec runs, as systemd would run it itself."""
    assert command.words[0].startswith("/")
    assert "exec" in (command.words[1], command.words[len(PROGRAM)])
    at = command.words.index("--")
    ours, job = command.words[:at], command.words[at + 1 :]
    if "--argv0" in ours:
        named = ours[ours.index("--argv0") + 1]
        return Split(command.prefix + "@", [job[0], named, *job[1:]])
    return Split(command.prefix, job)


def same(before: list[Split], after: list[Split]) -> bool:
    """Tell whether two lists of commands mean the same; the order of prefixes means nothing."""
    plain = [Split("".join(sorted(each.prefix)), each.words) for each in before]
    return plain == [Split("".join(sorted(each.prefix)), each.words) for each in after]


def verify(folder: Path) -> set[str]:
    """Return what `systemd-analyze verify` says of all units of a folder."""
    names = sorted(path.name.replace("@.", "@x.") for path in folder.glob("*.service"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    return set(done.stderr.splitlines())


def test_sixty_units_mean_the_same_once_they_are_wrapped(crontify: Crontify, units: Path) -> None:
    shapes = WRAPPED | TEMPLATES
    assert len(shapes) >= 55
    names = {}
    for description, text in shapes.items():
        at = "@" if description in TEMPLATES else ""
        names[f"{description.replace(' ', '-')}{at}.service"] = text
    for name, text in names.items():
        (units / name).write_text(text)
    before = {name: commands(units, name) for name in names}
    said = verify(units)
    files = {path.name: path.read_bytes() for path in units.iterdir()}
    done = crontify("systemd", "wrap", *names, "--yes")
    assert done.returncode == 0, done.stderr
    for name in names:
        after = list(map(without_exec, commands(units, name)))
        assert same(before[name], after), (name, before[name], after)
    assert verify(units) - said == set()
    # And nothing is left of it.
    done = crontify("systemd", "unwrap", *names, "--yes")
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in units.iterdir()} == files


@pytest.mark.parametrize("shape", REFUSED)
def test_what_cannot_be_preserved_is_refused_with_the_reason(
    crontify: Crontify, units: Path, shape: str
) -> None:
    text, reason = REFUSED[shape]
    (units / "job.service").write_text(f"[Service]\n{text}\n")
    done = crontify("systemd", "wrap", "job", "--yes")
    assert done.returncode == 1
    assert re.search(rf"job\.service: left as it is: .*{re.escape(reason)}", done.stderr)
    assert list(units.iterdir()) == [units / "job.service"]


def settings_of(text: str) -> Service:
    return Service("job.service", "/x", (), tuple(assignments(f"[Service]\n{text}\n")))


@pytest.mark.parametrize(
    ("setting", "program", "is_hidden"),
    [
        ("ProtectHome=yes", "/root/v/bin/crontify", True),
        ("ProtectHome=tmpfs", "/home/me/v/bin/crontify", True),
        ("ProtectHome=read-only", "/root/v/bin/crontify", False),
        ("ProtectHome=no", "/root/v/bin/crontify", False),
        ("ProtectHome=yes", "/rootless/bin/crontify", False),
        ("PrivateTmp=yes", "/tmp/v/bin/crontify", True),
        ("PrivateTmp=no", "/tmp/v/bin/crontify", False),
        ("PrivateTmp=yes\nProtectHome=yes", "/opt/crontify/bin/crontify", False),
    ],
)
def test_a_service_that_does_not_see_crontify_is_refused(
    monkeypatch: pytest.MonkeyPatch, setting: str, program: str, is_hidden: bool
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    found = list(reach.hidden(settings_of(setting), program))
    assert [f"hides {program} from it" in each for each in found] == [True] * is_hidden


def test_a_user_who_may_not_run_crontify_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, whose files other users may not run")
    monkeypatch.setattr(sys, "executable", "/usr/bin/env")
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        program = folder / "bin/crontify"
        program.parent.mkdir()
        program.touch(0o755)
        (note,) = reach.forbidden(settings_of("User=nobody"), str(program))
        assert f"nobody cannot run {program}: {folder} does not allow" in note
        assert list(reach.forbidden(settings_of("DynamicUser=yes"), str(program)))
        assert not list(reach.forbidden(settings_of("User=root"), str(program)))
        assert not list(reach.forbidden(settings_of("Nice=5"), str(program)))
        folder.chmod(0o755)
        assert not list(reach.forbidden(settings_of("User=nobody"), str(program)))
        folder.chmod(0o700)
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, 0)
        assert not list(reach.forbidden(settings_of("User=nobody"), str(program)))
    finally:
        shutil.rmtree(folder)


WORD = st.text(st.sampled_from("ab \\'\";$%-@é\t"), min_size=1, max_size=8)


def written(word: str) -> str:
    """Return a word as a unit file has it, in double quotes."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.lists(WORD, max_size=4), min_size=1, max_size=3),
    st.lists(st.sampled_from("-@:+!"), max_size=3, unique=True).map("".join),
)
def test_any_command_line_is_split_as_before(lines: list[list[str]], prefix: str) -> None:
    if "@" in prefix:
        lines = [["name", *line] for line in lines]
    value = " ; ".join(" ".join([f"{prefix}/bin/x", *map(written, line)]) for line in lines)
    text = f"[Service]\nType=oneshot\nExecStart={value}\n"
    service = Service("x.service", "x", (), tuple(assignments(text)))
    after = assignments(compose(service, Wish(PROGRAM)).text)
    found = [
        each
        for line in after
        if line.key == "ExecStart" and line.value
        for each in split(line.value)
    ]
    assert same(split(value), list(map(without_exec, found)))


def test_the_job_is_run_as_systemd_would_run_it(
    crontify: Crontify, units: Path, api: ApiServer, tmp_path: Path, env: dict[str, str]
) -> None:
    """Through the wrapped command line itself: arguments, own name, and exit code."""
    show = r'tr "\\0" "|" </proc/$$/cmdline >seen; exit 3'
    (units / "job.service").write_text(
        "[Service]\nType=oneshot\nSuccessExitStatus=3\n"
        f'ExecStart=@/bin/sh "my name" -c \'{show}\' "a b" c\\x20d\n'
    )
    assert crontify("systemd", "wrap", "job", "--yes").returncode == 0
    (command,) = commands(units, "job.service")
    done = subprocess.run(command.words, env={**os.environ, **env}, cwd=tmp_path, check=False)
    assert done.returncode == 3
    seen = (tmp_path / "seen").read_text().split("|")
    assert (seen[0], seen[1], seen[-3:]) == ("my name", "-c", ["a b", "c d", ""])
    assert api.kinds() == ["start", "success"]


def test_the_key_comes_from_a_credential(
    crontify: Crontify, units: Path, api: ApiServer, tmp_path: Path
) -> None:
    (units / "job.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    key = tmp_path / "the key 100%"
    key.write_text(KEY)
    key.chmod(0o600)
    done = crontify("systemd", "wrap", "job", "--yes", "--api-key-file", str(key))
    assert done.returncode == 0, done.stderr
    text = (units / "job.service.d/crontify.conf").read_text()
    (line,) = [each.value for each in assignments(text) if each.key == "LoadCredential"]
    name, _, path = line.partition(":")
    assert path == f"{tmp_path}/the key 100%%"
    # systemd puts it there.
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / name).write_text(KEY)
    (command,) = commands(units, "job.service")
    env = {**os.environ, "CREDENTIALS_DIRECTORY": str(folder), "CRONTIFY_BASE_URL": api.url}
    assert subprocess.run(command.words, env=env, check=False).returncode == 0
    assert [request.headers["x-api-key"] for request in api.accepted] == [KEY, KEY]
    key.unlink()
    done = crontify("systemd", "wrap", "job", "--yes", "--api-key-file", str(key))
    assert (done.returncode, "no such file" in done.stderr) == (1, True)


def test_drop_ins_of_others_count_and_stay(crontify: Crontify, units: Path) -> None:
    """Those before ours are what is wrapped; one behind ours would undo it."""
    (units / "nightly-job@.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    for folder in ("nightly-job@home.service.d", "nightly-job@.service.d", "service.d"):
        (units / folder).mkdir()
    (units / "nightly-job@.service.d/a.conf").write_text(
        "[Service]\nExecStart=\nExecStart=/bin/a\n"
    )
    (units / "service.d/a.conf").write_text("[Service]\nExecStart=/bin/never\n")  # less specific
    (units / "service.d/b.conf").write_text("[Service]\nNice=3\n[Unit]\nExecStart=/bin/no\n")
    done = crontify("systemd", "wrap", "nightly-job@home", "--yes")
    assert done.returncode == 0, done.stderr
    ours = units / "nightly-job@home.service.d/crontify.conf"
    assert ours.read_text().endswith(" exec nightly-job-home -- /bin/a\n")
    later = units / "nightly-job@home.service.d/override.conf"
    later.write_text("[Service]\nExecStart=\nExecStart=/bin/b\n")
    done = crontify("systemd", "wrap", "nightly-job@home", "--yes")
    assert done.returncode == 1
    assert f"{later} sets ExecStart=" in done.stderr
    assert crontify("systemd", "unwrap", "nightly-job@home", "--yes").returncode == 0
    assert later.exists()
    assert not ours.exists()


def test_a_file_of_the_same_name_that_is_not_ours_stays(crontify: Crontify, units: Path) -> None:
    (units / "job.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    other = units / "job.service.d/crontify.conf"
    other.parent.mkdir()
    other.write_text("[Service]\nNice=5\n")
    for verb in ("wrap", "unwrap"):
        assert crontify("systemd", verb, "job", "--yes").returncode == 1
    assert other.read_text() == "[Service]\nNice=5\n"


def test_nothing_is_written_without_consent(crontify: Crontify, units: Path) -> None:
    (units / "job.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    done = crontify("systemd", "wrap", "job", "--dry-run")
    assert (done.returncode, "+ExecStart=" in done.stdout) == (0, True)
    done = crontify("systemd", "wrap", "job")
    assert (done.returncode, "--yes" in done.stderr) == (2, True)
    assert list(units.iterdir()) == [units / "job.service"]


def test_a_timer_stands_for_its_service(crontify: Crontify, units: Path) -> None:
    (units / "other.timer").write_text("[Timer]\nOnCalendar=daily\nUnit=job.service\n")
    (units / "job.timer").write_text("[Timer]\nOnCalendar=daily\n")
    (units / "job.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    (units / "masked.service").symlink_to("/dev/null")
    (units / "alias.service").symlink_to("job.service")
    for name in ("other.timer", "job.timer", "alias"):
        done = crontify("systemd", "wrap", name, "--yes", "--name", "mine")
        assert done.returncode == 0, done.stderr
        assert " exec mine -- " in (units / "job.service.d/crontify.conf").read_text()
        assert crontify("systemd", "unwrap", name, "--yes").returncode == 0
    for name, said in (
        ("masked", "masked"),
        ("none", "no unit none.service"),
        ("/a/b", "not a path"),
    ):
        done = crontify("systemd", "wrap", name, "--yes")
        assert done.returncode
        assert said in done.stderr


def test_units_of_users_are_found_below_their_config(home: Path, crontify: Crontify) -> None:
    need("systemd-analyze")
    folder = home / ".config/systemd/user"
    folder.mkdir(parents=True)
    (folder / "job.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    done = crontify("systemd", "wrap", "--user", "job", "--yes")
    assert done.returncode == 0, done.stderr
    assert " exec job -- /bin/true\n" in (folder / "job.service.d/crontify.conf").read_text()
    assert Units(user=True).service("job").own == str(folder / "job.service.d/crontify.conf")
