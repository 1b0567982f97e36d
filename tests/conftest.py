"""What every test stands on: a home of its own, and the real program in a real process."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import forks
from tests.forks import can_be_forked
from tests.past import Past
from tests.portability.plugin import (  # noqa: F401 - hooks
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
)
from tests.programs import PROGRAM
from tests.sandbox_process import Sandbox, running
from tests.server import ApiServer, settings
from tests.users import bob, eve  # noqa: F401 - fixtures

# A child inherits what is ignored here: after `nohup pytest &` no test could interrupt or hang up
# the programs that it starts. A handler that does nothing protects us just as well, and a child
# gets the default in its place. What Python itself ignores it restores for children.
for _number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

# How long it takes to make an example says something of the machine's load, not of the example.
_patient = hypothesis.settings(
    suppress_health_check=[hypothesis.HealthCheck.too_slow], deadline=None
)
hypothesis.settings.register_profile("brief", _patient, max_examples=50)
hypothesis.settings.register_profile("thorough", _patient, max_examples=1000)
hypothesis.settings.load_profile("brief")

Crontify = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME, so that no test can touch the real one, and no setting from outside."""
    path = tmp_path / "home"
    path.mkdir()
    for name in list(os.environ):
        if name.startswith(("CRONTIFY_", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc-xdg"))
    return path


@pytest.fixture
def crontify(tmp_path: Path) -> Crontify:
    """Run `crontify ARGS` to its end as a process of its own; keywords are subprocess.run's."""

    def run(
        *args: str, env: Mapping[str, str] = {}, **more: Any
    ) -> "subprocess.CompletedProcess[str]":
        environ = {**os.environ, **env}
        keywords: dict[str, Any] = {"timeout": 60, "cwd": tmp_path} | more
        if keywords.keys() <= forks.KEYWORDS and can_be_forked(args, environ):
            return forks.run(args, environ, **keywords)
        keywords = {"text": True, "capture_output": True} | keywords
        if "input" not in keywords:
            keywords = {"stdin": subprocess.DEVNULL} | keywords
        return subprocess.run([*PROGRAM, *args], env=environ, check=False, **keywords)

    return run


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """The tests' own API server, answering as the seed says until a test tells it otherwise."""
    with ApiServer() as server:
        yield server


@pytest.fixture
def env(api: ApiServer) -> dict[str, str]:
    """The settings of a run that reports to `api`."""
    return settings(api)


@pytest.fixture
def impatient(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The same with little patience, for runs whose reports are not to arrive."""
    config = tmp_path / "impatient.toml"
    config.write_text("report_timeout = 1\nhttp_timeout = 1\nrate_limit_wait = 1\n")
    config.chmod(0o600)
    return {**env, "CRONTIFY_CONFIG": str(config)}


@pytest.fixture
def state(home: Path) -> Path:
    """The state directory that crontify makes below HOME."""
    return home / ".local/state/crontify"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A running sandbox with a monitor `clnightly`."""
    with running(tmp_path) as server:
        yield server


@pytest.fixture
def past(home: Path) -> Past:
    """A journal that the test fills with runs of days gone by."""
    return Past()
