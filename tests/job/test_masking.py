"""Secrets stay out of what is kept and sent; what passes through is untouched."""

import os
from pathlib import Path

from crontify_cli.report.patterns import WITHHELD
from tests.conftest import Crontify
from tests.job.conftest import Launch
from tests.job.test_handover import has_ended
from tests.server import TOKEN, ApiServer, settings
from tests.waiting import until, until_exists

SECRET = "hunter2-hunter2-hunter2"


def logs(home: Path) -> str:
    folder = home / ".local/state/crontify/logs"
    return "".join(path.read_text() for path in folder.glob("*.log"))


def test_redact_masks_report_and_local_log_and_nothing_else(
    crontify: Crontify, api: ApiServer, home: Path
) -> None:
    script = "echo card 4111-1111 ok; echo card 4222-2222 bad >&2; exit 1"
    options = ("--redact", r"\d{4}-\d{4}", "--", "sh", "-c", script)
    done = crontify("exec", "backup", *options, env=settings(api))
    assert (done.stdout, done.stderr) == ("card 4111-1111 ok\n", "card 4222-2222 bad\n")
    body = api.requests[-1].json
    assert body["errorMessage"] == "exited with code 1: card [masked] bad"
    assert "card [masked] ok" in body["logOutput"]
    assert "4111" not in api.requests[-1].body.decode()
    assert "4111" not in logs(home)
    assert "card [masked] ok" in logs(home)


def test_values_of_variables_that_look_like_secrets_and_the_token_are_masked(
    crontify: Crontify, api: ApiServer, home: Path
) -> None:
    env = {**settings(api), "DB_PASSWORD": SECRET, "MY_TOKEN": "short", "CRONTIFY_TOKEN": TOKEN}
    script = f'echo "connect as root:$DB_PASSWORD ($MY_TOKEN) {TOKEN}"; exit 1'
    done = crontify("exec", "backup", "--", "sh", "-c", script, env=env)
    assert SECRET in done.stdout
    assert api.requests[-1].json["logOutput"] == "connect as root:[masked] (short) [masked]\n"
    for file in home.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file
            assert TOKEN.encode() not in file.read_bytes(), file


def test_a_secret_on_the_command_line_is_masked_in_the_journal(
    crontify: Crontify, api: ApiServer, home: Path
) -> None:
    env = {**settings(api), "API_SECRET": SECRET}
    crontify("exec", "backup", "--", "echo", SECRET, env=env)
    for file in home.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file


def test_what_looks_like_a_secret_is_masked_unless_the_settings_say_otherwise(
    crontify: Crontify, api: ApiServer, home: Path
) -> None:
    script = "echo password=hunter2; exit 1"
    command = ("--", "sh", "-c", script, "--token", "hunter3")
    crontify("exec", "backup", *command, env=settings(api))
    assert api.requests[-1].json["logOutput"] == "password=[masked]\n"
    journal = b"".join(path.read_bytes() for path in home.rglob("journal.db*"))
    assert b"hunter" not in journal
    log = home / "job.log"
    log.write_text("password=hunter2\n")
    crontify("ping", "fail", "backup", "--log", str(log), env=settings(api))
    assert api.requests[-1].json["logOutput"] == "password=[masked]\n"

    assert crontify("config", "set", "monitors.backup.mask_shapes", "false").returncode == 0
    crontify("exec", "backup", *command, env=settings(api))
    assert api.requests[-1].json["logOutput"] == "password=hunter2\n"
    crontify("ping", "fail", "backup", "--log", str(log), env=settings(api))
    assert api.requests[-1].json["logOutput"] == "password=hunter2\n"


def test_the_environments_secrets_are_masked_by_who_reports_a_run_whose_key_came_too_late(
    crontify: Crontify, launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    command = tmp_path / "key"
    command.write_text("#!/bin/sh\nuntil [ -e go ]; do sleep .05; done\n")
    command.chmod(0o700)
    config = tmp_path / "config.toml"
    config.write_text(f'api_key_command = "{command}"\n')
    config.chmod(0o600)
    env = {"CRONTIFY_API_KEY": "", "CRONTIFY_CONFIG": str(config), "DB_PASSWORD": SECRET}
    process = launch("--", "sh", "-c", 'echo "I am $DB_PASSWORD"; exit 1', env=env)
    until(has_ended, "the job has ended")

    def is_over() -> bool:
        process.terminate()  # counts only once the program itself has seen the job's end
        return process.poll() is not None

    until(is_over, "the key is given up")
    _, err = process.communicate(timeout=60)
    (tmp_path / "go").touch()
    assert "could not be read in time" in err
    assert crontify("flush", env=settings(api)).returncode == 0
    assert api.requests[-1].json["logOutput"] == "I am [masked]\n"
    assert api.requests[-1].json["errorMessage"].endswith("I am [masked]")


def test_a_hostile_regex_on_a_line_of_100_mb_stalls_nothing(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    """Catastrophic backtracking in both: they are given up, and the log is withheld, not leaked."""
    script = f"echo {'a' * 99}; head -c 99999900 /dev/zero | tr '\\0' a; exit 3"
    hostile = "(a|aa)+[bc]"
    with open(os.devnull, "w") as null:
        process = launch(
            *("--meta-regex", f"(?P<n>{hostile})", "--redact", hostile, "--", "sh", "-c", script),
            stdout=null,
        )
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Traceback" not in err
    fail = api.requests[-1]
    assert fail.kind == "fail"
    assert fail.json["meta"]["output_bytes"] == 100_000_000
    assert fail.json["logOutput"].startswith(WITHHELD)
    assert "aaaa" not in fail.json["logOutput"]
    assert "took over 1 s on a line" in err


def test_a_job_in_a_flood_is_not_slowed_by_a_hostile_regex(launch: Launch, tmp_path: Path) -> None:
    """The search runs next to the relay, and drops what it cannot keep up with."""
    script = f"yes {'a' * 100} | head -c 50000000; touch ended"
    with open(os.devnull, "w") as null:
        launch("--meta-regex", "(?P<n>(a|aa)+[bc])", "--", "sh", "-c", script, stdout=null)
        until((tmp_path / "ended").exists, "the job has ended")


def test_a_signal_is_passed_on_while_a_hostile_regex_is_tried(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    script = (
        f"trap 'echo stopped; exit 9' TERM; echo {'a' * 100}; touch begun;"
        " while :; do sleep 60 & wait $!; done"
    )
    process = launch("--meta-regex", "(?P<n>(a|aa)+[bc])", "--", "sh", "-c", script)
    until_exists(tmp_path / "begun")
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.splitlines()[-1]) == (9, "stopped"), err
    assert api.requests[-1].json["meta"]["exit_code"] == 9
