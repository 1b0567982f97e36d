"""Metrics for Prometheus: what they say, that its own tools accept them, and the file."""

import os
import shutil
import stat
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Crontify
from tests.faults import answer
from tests.past import Past
from tests.programs import PROGRAM
from tests.server import ApiServer, bound, right
from tests.users import User
from tests.waiting import until, until_exists

ODD = ("a.b~c", "_", "9", "x" * 128)


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return the values by name and labels."""
    return {
        (sample.name.removeprefix("crontify_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def written(crontify: Crontify) -> dict[tuple[str, ...], float]:
    done = crontify("metrics")
    assert done.returncode == 0, done.stderr
    return samples(done.stdout)


def test_each_monitor_has_its_last_run_and_its_last_success(crontify: Crontify) -> None:
    past = Past()
    past.run("nightly", ago=900, duration=20)
    for ago in (600, 300):
        past.run("nightly", "fail", ago=ago, duration=5, code=7)
    past.run("feed", "tolerated", ago=100, duration=1, code=1)
    past.run("feed", "skipped", ago=50, duration=0, code=75, report=None)
    for number, name in enumerate(ODD):
        past.run(name, ago=1000 + number)
    found = written(crontify)
    near = pytest.approx
    assert found["last_run_timestamp_seconds", "nightly"] == near(past.now - 295)
    assert found["last_success_timestamp_seconds", "nightly"] == near(past.now - 880)
    assert found["last_run_duration_seconds", "nightly"] == near(5)
    assert found["last_run_exit_code", "nightly"] == 7
    assert found["failures_in_a_row", "nightly"] == 2
    assert found["last_run_outcome", "nightly", "fail"] == 1
    assert found["last_run_outcome", "nightly", "success"] == 0
    # A skipped run is none.
    assert found["last_run_outcome", "feed", "tolerated"] == 1
    assert ("last_success_timestamp_seconds", "feed") not in found
    assert found["failures_in_a_row", ODD[0]] == 0
    assert found["queued_reports",] == 0


def test_what_runs_what_waits_and_the_jobs_own_numbers(
    crontify: Crontify, env: dict[str, str], api: ApiServer, tmp_path: Path
) -> None:
    script = "echo rows=17 >>$CRONTIFY_META; echo rate=0.5 >>$CRONTIFY_META"
    assert crontify("exec", "nightly", "--", "sh", "-c", script, env=env).returncode == 0
    api.default = answer(503)
    config = tmp_path / "impatient.toml"
    config.write_text("report_timeout = 0\n")
    config.chmod(0o600)
    env = {**env, "CRONTIFY_CONFIG": str(config)}
    before = time.time()
    assert crontify("exec", "feed", "--", "false", env=env).returncode == 1
    job = [*PROGRAM, "exec", "long", "--", "sh", "-c", "touch begun; read x"]
    running = subprocess.Popen(
        job,
        cwd=tmp_path,
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_exists(tmp_path / "begun")
        until(
            lambda: ("running_since_timestamp_seconds", "long") in written(crontify),
            "the run is recorded",
        )
        found = written(crontify)
    finally:
        running.communicate(b"\n")
    assert found["last_run_value", "nightly", "rows"] == 17
    assert found["last_run_value", "nightly", "rate"] == 0.5
    assert {name for kind, *rest in found if kind == "last_run_value" for name in rest[1:]} == {
        "rows",
        "rate",
    }
    assert before <= found["running_since_timestamp_seconds", "long"] <= time.time()
    assert found["queued_reports",] == 1
    assert before <= found["oldest_queued_report_timestamp_seconds",] <= time.time()


def configured(home: Path, file: Path) -> None:
    folder = home / ".config/crontify"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config.toml").write_text(f'metrics_file = "{file}"\nreport_timeout = 3\n')


def test_the_file_is_replaced_after_every_run_and_flush(
    crontify: Crontify, env: dict[str, str], api: ApiServer, home: Path, tmp_path: Path
) -> None:
    """Runs that end at the same time among them: the last one to write knows of all."""
    file = tmp_path / "textfile" / "crontify.prom"
    file.parent.mkdir()
    configured(home, file)
    names = [f"m{number}" for number in range(6)]

    def run(name: str) -> int:
        return crontify("exec", name, "--", "true", env=env, umask=0o077).returncode

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(run, names)) == {0}
    found = samples(file.read_text())
    assert [("last_success_timestamp_seconds", name) in found for name in names] == [True] * 6
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(file.parent.iterdir()) == [file]
    api.default = answer(503)
    assert crontify("exec", "m0", "--", "false", env=env).returncode == 1
    assert samples(file.read_text())["queued_reports",] == 1
    api.default = right
    assert crontify("flush", env=env).returncode == 0
    assert samples(file.read_text())["queued_reports",] == 0


@pytest.mark.parametrize("fault", ["no prometheus_client", "no folder"])
def test_a_file_that_cannot_be_written_costs_the_run_one_line(
    crontify: Crontify,
    env: dict[str, str],
    api: ApiServer,
    home: Path,
    tmp_path: Path,
    fault: str,
) -> None:
    file = tmp_path / "crontify.prom" if fault.endswith("client") else tmp_path / "none/x.prom"
    configured(home, file)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import sys; sys.modules['prometheus_client'] = None\n")
    if fault.endswith("client"):
        env = {**env, "PYTHONPATH": str(site)}
        said = "pip install 'crontify-cli[metrics]'"
    else:
        said = f"cannot write the metrics to {file}: No such file or directory"
    done = crontify("exec", "nightly", "--", "sh", "-c", "exit 3", env=env)
    assert done.returncode == 3
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert api.kinds() == ["start", "fail"]
    done = crontify("metrics", "--output", str(file), env=env)
    assert (done.returncode, said in done.stderr) == (1, True)
    assert not file.exists()


def test_a_run_does_not_wait_for_the_reader_of_a_pipe(
    crontify: Crontify, env: dict[str, str], api: ApiServer, home: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    configured(home, pipe)
    done = crontify("exec", "nightly", "--", "true", env=env)
    assert done.returncode == 0
    assert f"cannot write the metrics to {pipe}: it is not a regular file" in done.stderr
    assert api.kinds() == ["start", "success"]


def test_the_metrics_can_be_written_to_stdout_by_its_name(home: Path) -> None:
    command = [*PROGRAM, "metrics", "--output", "/dev/stdout"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "\ncrontify_build_info{" in done.stdout, done.stderr


def test_prometheus_accepts_the_format_and_the_textfile_collector_the_file(
    crontify: Crontify, tmp_path: Path
) -> None:
    exporter = shutil.which("prometheus-node-exporter")
    if not exporter or not shutil.which("promtool"):
        pytest.skip("needs promtool and prometheus-node-exporter")
    past = Past()
    for number, name in enumerate(ODD):
        past.run(name, "fail" if number % 2 else "success", code=number)
    past.run("queued", "fail", report="queued")
    done = crontify("metrics")
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=done.stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    folder = tmp_path / "textfile"
    folder.mkdir()
    assert crontify("metrics", "--output", str(folder / "crontify.prom")).returncode == 0
    reserved = bound()
    port = reserved.getsockname()[1]
    daemon = subprocess.Popen(
        [
            exporter,
            f"--web.listen-address=127.0.0.1:{port}",
            "--collector.disable-defaults",
            "--collector.textfile",
            f"--collector.textfile.directory={folder}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def scraped() -> str:
            try:
                url = f"http://127.0.0.1:{port}/metrics"
                with urllib.request.urlopen(url, timeout=5) as answer:
                    return str(answer.read().decode())
            except OSError:
                return ""

        until(scraped, "the exporter answers")
        found = samples(scraped())
    finally:
        daemon.terminate()
        daemon.wait(60)
        reserved.close()
    assert found["node_textfile_scrape_error",] == 0
    for name in ODD:
        assert ("last_run_exit_code", name) in found


@pytest.mark.parametrize("place", ["fifo", "link"])
def test_only_a_regular_file_is_replaced(crontify: Crontify, tmp_path: Path, place: str) -> None:
    """As root, `--output /dev/null` would replace the device; of a link the target is written."""
    Past().run("nightly")
    path, real = tmp_path / place, tmp_path / "real"
    if place == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(real)
        real.touch()
    reader = subprocess.Popen(["cat", path if place == "fifo" else "/dev/null"], stdout=-1)
    done = crontify("metrics", "--output", str(path))
    read = reader.communicate(timeout=60)[0].decode()
    assert done.returncode == 0, done.stderr
    assert path.is_fifo() if place == "fifo" else path.is_symlink()
    text = read if place == "fifo" else real.read_text()
    assert ("last_run_exit_code", "nightly") in samples(text)
    assert {each.name for each in tmp_path.iterdir()} <= {"fifo", "link", "real", "home"}


@pytest.mark.parametrize("planted", ["link", "folder"])
def test_root_does_not_follow_another_users_link(
    crontify: Crontify, tmp_path: Path, bob: User, planted: str
) -> None:
    """A folder for Prometheus often belongs to the user who collects from it."""
    Past().run("nightly")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "crontify.prom").write_text("root's")
    into = bob.home / "collected"
    if planted == "folder":
        bob.shell(f"ln -s {victim} {into}")
    else:
        bob.shell(f"mkdir {into}; ln -s {victim}/crontify.prom {into}/")
    done = crontify("metrics", "--output", str(into / "crontify.prom"))
    assert done.returncode == 1
    assert "another user" in done.stderr
    assert [each.name for each in victim.iterdir()] == ["crontify.prom"]
    assert (victim / "crontify.prom").read_text() == "root's"


@pytest.mark.usefixtures("home")
def test_a_file_that_is_standard_output_is_not_replaced(tmp_path: Path) -> None:
    with (tmp_path / "log").open("a") as log:
        log.write("before\n")
        log.flush()
        command = [*PROGRAM, "metrics", "--output", "/dev/stdout"]
        subprocess.run(command, stdout=log, check=True, timeout=60)
    written = (tmp_path / "log").read_text()
    assert written.startswith("before\n")
    assert "\ncrontify_build_info{" in written
