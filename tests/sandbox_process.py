"""A running `crontify sandbox serve`, as a process of its own."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from crontify_cli.delivery.api import Api
from tests import forks
from tests.sandbox.server import started


class Sandbox(NamedTuple):
    """A running sandbox with a monitor `clnightly`."""

    url: str
    api_key: str
    token: str

    def runs(self) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx.get(f"{self.url}/monitors/clnightly/runs", headers=headers, trust_env=False)
        data = answer.json()["data"]
        assert isinstance(data, list)
        return data

    def log(self, run_id: str) -> str:
        return Api(self.url, token=self.token).log("clnightly", run_id).content or ""


@contextlib.contextmanager
def running(tmp_path: Path) -> Iterator[Sandbox]:
    """Serve a new database on a free port until the context ends."""
    database = str(tmp_path / "sandbox.db")
    serve = ["sandbox", "serve", "--port", "0", "--json", "--until-stdin-closes"]
    add = ["sandbox", "monitor", "add", "clnightly", "--db", database]
    with started([*serve, "--db", database], os.environ) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        forks.run(add, os.environ, cwd=tmp_path, timeout=60).check_returncode()
        yield Sandbox(ready["url"], ready["api_key"], ready["token"])
