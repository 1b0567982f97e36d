"""A running `crontify sandbox serve`, as a process of its own."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from crontify_cli.delivery.api import Api
from tests.programs import PROGRAM


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
    add = [*PROGRAM, "sandbox", "monitor", "add", "clnightly", "--db", database]
    serve = [*PROGRAM, "sandbox", "serve", "--port", "0", "--json", "--until-stdin-closes"]
    process = subprocess.Popen(
        [*serve, "--db", database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        subprocess.run(add, check=True, stdout=subprocess.DEVNULL)
        yield Sandbox(ready["url"], ready["api_key"], ready["token"])
    finally:
        process.terminate()
        process.communicate(timeout=60)
