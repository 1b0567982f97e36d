"""The examples in docs/deploy: each is parsed, and run as far as this machine can."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from crontify_cli.crontab.lines import read
from crontify_cli.job.options import scan
from tests.conftest import Crontify
from tests.server import KEY, ApiServer
from tests.users import User, bob  # noqa: F401 - a fixture

DEPLOY = Path(__file__).resolve().parent.parent / "docs/deploy"


def cron_job() -> dict[str, Any]:
    found = yaml.safe_load((DEPLOY / "kubernetes.yaml").read_text())
    assert (found["kind"], found["apiVersion"]) == ("CronJob", "batch/v1")
    return dict(found["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def test_the_container_of_the_cron_job_reports_with_the_mounted_secret(
    bob: User,  # noqa: F811
    api: ApiServer,
) -> None:
    """With volumes as the kubelet makes them: an emptyDir that belongs to root and a group."""
    pod = cron_job()
    (container,) = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] > 20
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    places = {}
    for volume in pod["volumes"]:
        folder = bob.home / volume["name"]
        folder.mkdir()
        os.chown(folder, 0, bob.uid)
        folder.chmod(0o2777)
        places[mounts[volume["name"]]] = folder
        if "secret" in volume:
            file = folder / "api-key"
            file.write_text(KEY)
            os.chown(file, 0, bob.uid)
            file.chmod(volume["secret"]["defaultMode"])
    env = {"CRONTIFY_BASE_URL": api.url}
    for each in container["env"]:
        mount = next(path for path in places if each["value"].startswith(path))
        env[each["name"]] = str(places[mount]) + each["value"].removeprefix(mount)
    program, *words = container["command"]
    assert program == "crontify"
    done = bob.crontify(*words[:-1], "echo", words[-1], env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "/srv/backup.sh\n"
    assert api.kinds() == ["start", "success"]
    assert list(places[mounts["state"]].glob("**/journal.db"))


def test_the_entrypoint_of_the_image_is_an_exec_that_needs_no_typer() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    last = dict(steps)
    assert steps[0][0] == "ARG"
    words = json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"])
    options = scan(words[2:])
    assert words[:2] == ["crontify", "exec"]
    assert options
    assert (options.monitor, options.command) == ("backup", ["/srv/backup.sh"])
    for name, rest in steps:
        if name == "RUN":
            subprocess.run(["sh", "-n", "-c", rest], check=True)


def tasks() -> list[dict[str, Any]]:
    return list(yaml.safe_load((DEPLOY / "ansible.yml").read_text()))


def test_the_tasks_of_ansible_leave_settings_that_reach_the_server(
    api: ApiServer, crontify: Crontify, tmp_path: Path
) -> None:
    """All but what would change this machine: the installation, and root's crontab."""
    if not shutil.which("ansible-playbook"):
        pytest.skip("needs ansible-playbook")
    venv, etc = tmp_path / "venv", tmp_path / "etc-xdg/crontify"
    (venv / "bin").mkdir(parents=True)
    program = venv / "bin/crontify"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m crontify_cli "$@"\n')
    program.chmod(0o755)
    play = [
        {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {
                "crontify_api_key": KEY,
                "crontify_venv": str(venv),
                "crontify_etc": str(etc),
                "crontify_url": api.url,
                "ansible_python_interpreter": "/usr/bin/python3",
            },
            "tasks": tasks(),
        }
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [
            *("ansible-playbook", "-i", "localhost,", "play.yml"),
            *("--skip-tags", "crontify_install,crontify_cron"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert crontify("exec", "backup", "--", "true").returncode == 0
    assert [request.headers["x-api-key"] for request in api.accepted][-2:] == [KEY, KEY]
    assert (etc / "api-key").stat().st_mode & 0o777 == 0o600


def test_the_crontab_lines_of_ansible_run_what_exec_understands() -> None:
    jobs = [task["ansible.builtin.cron"] for task in tasks() if "ansible.builtin.cron" in task]
    assert jobs
    for job in jobs:
        fields = [str(job.get(name, "*")) for name in ("minute", "hour", "day", "month", "weekday")]
        command = job["job"].replace("{{ crontify_venv | default('/opt/crontify') }}", "/opt/c")
        (line,) = read(f"{' '.join(fields)} {command}\n".encode(), "debian")
        assert line.kind == "job"
        assert not line.problem
        words = shlex.split(command)
        assert words[0] == "/opt/c/bin/crontify"
        if words[1] == "exec":
            assert scan(words[2:])
