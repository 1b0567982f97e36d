"""Other users of this host: a real uid, a home of its own, and commands run as that user."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.programs import PROGRAM, need


class User:
    """A user without a name or a password entry; files are planted by its own processes."""

    def __init__(self, uid: int, home: Path) -> None:
        self.uid = uid
        self.home = home

    def run(
        self, *command: str, env: Mapping[str, str] = {}, **more: Any
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end as this user."""
        # Python and this source tree may lie where only root looks.
        caps = "+dac_read_search"
        ids = ("--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups")
        more = {"timeout": 60, "text": True, "capture_output": True, "cwd": self.home} | more
        return subprocess.run(
            ["setpriv", *ids, "--inh-caps", caps, "--ambient-caps", caps, *command],
            env={**os.environ, "HOME": str(self.home), **env},
            check=False,
            **more,
        )

    def crontify(
        self, *args: str, env: Mapping[str, str] = {}
    ) -> "subprocess.CompletedProcess[str]":
        """Run `crontify ARGS` as this user."""
        return self.run(*PROGRAM, *args, env=env, stdin=subprocess.DEVNULL)

    def shell(self, script: str) -> None:
        """Run a shell script as this user; it has to succeed."""
        done = self.run("sh", "-ec", script)
        assert done.returncode == 0, done.stderr


def make_user(uid: int) -> Iterator[User]:
    """Yield a user whose home every user can reach, which is not so below `tmp_path`."""
    need("setpriv")
    if os.geteuid():
        pytest.skip("needs root, to become another user")
    home = Path(tempfile.mkdtemp(prefix=f"home-{uid}-"))
    try:
        home.chmod(0o755)
        os.chown(home, uid, uid)
        yield User(uid, home)
    finally:
        shutil.rmtree(home)


@pytest.fixture
def bob() -> Iterator[User]:
    """A user of this host."""
    yield from make_user(61234)


@pytest.fixture
def eve() -> Iterator[User]:
    """Another user of this host."""
    yield from make_user(61235)
