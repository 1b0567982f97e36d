"""A sandbox under test: a process of its own, asked over HTTP and looked into beside it."""

import contextlib
import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from crontify_cli.sandbox.database import open_database
from crontify_cli.sandbox.rules import parse_rule
from crontify_cli.sandbox.store import Store
from tests import forks
from tests.forks import Forked, can_be_forked
from tests.programs import PROGRAM

_numbers = itertools.count(1)


Process = subprocess.Popen[str] | Forked


class Server(NamedTuple):
    """A running sandbox; `http` knows the base URL, but sends no key and no token."""

    process: Process
    db: Path
    url: str
    api_key: str
    token: str
    page: str
    http: httpx.Client

    def monitor(self, account: str = "default") -> str:
        """Make a monitor that no other test knows, and return its id."""
        monitor_id = f"clmonitor{next(_numbers)}"
        with open_database(self.db, create=False) as connection:
            store = Store(connection)
            assert store.add_monitor(store.get_or_create_account(account), monitor_id)
        return monitor_id

    def rule(self, monitor_id: str, field: str, operator: str, number: str) -> None:
        """Give the monitor a rule, beside the running server, as `rule add` does."""
        with open_database(self.db, create=False) as connection:
            store = Store(connection)
            account = store.account("default")
            assert account
            assert store.add_rule(account, monitor_id, parse_rule(field, operator, number))

    def command(self, *args: str) -> str:
        """Return what `crontify sandbox ARGS` prints, beside the running server."""
        return sandbox(*args, "--db", str(self.db), check=True).stdout.strip()

    def ping(self, monitor_id: str, kind: str, body: object = None, **more: Any) -> httpx.Response:
        """Send a ping with the key; `body` goes as JSON if there is one."""
        headers = {"X-API-Key": self.api_key, **more.pop("headers", {})}
        if body is not None:
            more["json"] = body
        return self.http.post(f"/ping/{monitor_id}/{kind}", headers=headers, **more)

    def send(self, monitor_id: str, kind: str, body: object = None) -> str:
        """Send a ping that must be taken, and return its run id."""
        answer = self.ping(monitor_id, kind, body)
        assert answer.status_code == 200, answer.text
        run_id = answer.json()["data"]["runId"]
        assert isinstance(run_id, str)
        return run_id

    def get(self, path: str, **params: Any) -> httpx.Response:
        """Ask for what wants the user's token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.http.get(path, headers=headers, params=params)

    def runs(self, monitor_id: str) -> list[dict[str, Any]]:
        """Return the monitor's newest runs."""
        data = self.get(f"/monitors/{monitor_id}/runs", limit=100).json()["data"]
        assert isinstance(data, list)
        return data

    def log(self, monitor_id: str, run_id: str) -> dict[str, Any]:
        """Return the answer of the log endpoint."""
        answer = self.get(f"/monitors/{monitor_id}/runs/{run_id}/log")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert isinstance(found, dict)
        return found

    def channels(self, monitor_id: str) -> list[dict[str, Any]]:
        """Return the monitor's channels with their latest deliveries."""
        data = self.get(f"/monitors/{monitor_id}/channels").json()["data"]
        assert isinstance(data, list)
        return data

    def attempts(self, monitor_id: str) -> list[tuple[int | None, str | None]]:
        """Return status and error of each attempt of the only channel, oldest first."""
        (channel,) = self.channels(monitor_id)
        return [
            (attempt["httpStatus"], attempt["error"])
            for delivery in channel["deliveries"][::-1]
            for attempt in delivery["attempts"][::-1]
        ]

    def alerts(self, monitor_id: str) -> list[dict[str, Any]]:
        """Return the monitor's alerts, the newest first."""
        with open_database(self.db, create=False) as connection:
            store = Store(connection)
            account = store.account("default")
            assert account
            found = store.alerts(account, monitor_id, limit=1_000)
        return [alert.model_dump(by_alias=True) for alert in found]


def environment() -> dict[str, str]:
    """Return this process's environment without any setting of crontify."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CRONTIFY_", "XDG_")) and not name.lower().endswith("_proxy")
    }


def sandbox(
    *args: str, check: bool = False, before: Sequence[str] = (), env: Mapping[str, str] = {}
) -> "subprocess.CompletedProcess[str]":
    """Run `crontify sandbox ARGS` to its end; `before` stands in front of the program."""
    words, environ = ["sandbox", *args], {**environment(), **env}
    if not before and can_be_forked(words, environ):
        done = forks.run(words, environ, cwd=Path.cwd(), timeout=60)
        if check:
            done.check_returncode()
        return done
    return subprocess.run(
        [*before, *PROGRAM, *words],
        env=environ,
        check=check,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@contextlib.contextmanager
def serving(
    db: Path,
    *args: str,
    before: Sequence[str] = (),
    program: Sequence[str] = PROGRAM,
    env: Mapping[str, str] = {},
) -> Iterator[Server]:
    """Yield a running sandbox on a free port, and end it."""
    serve = ["sandbox", "serve", "--port", "0", "--json", "--until-stdin-closes"]
    words = [*serve, "--db", str(db), *args]
    with started(words, {**environment(), **env}, before, program) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        key = ready.get("api_key", "")
        with httpx.Client(base_url=ready["url"], timeout=60) as http:
            yield Server(process, db, ready["url"], key, ready["token"], ready["page"], http)


@contextlib.contextmanager
def started(
    words: Sequence[str],
    env: Mapping[str, str],
    before: Sequence[str] = (),
    program: Sequence[str] = PROGRAM,
) -> Iterator[Process]:
    """Run `crontify WORDS` until the context ends, with pipes as its stdin and stdout."""
    if not before and program is PROGRAM and can_be_forked(words, env):
        forked = forks.start(words, env)
        try:
            yield forked
        finally:
            forked.terminate()
            forked.close()
        return
    with subprocess.Popen(
        [*before, *program, *words],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)


def as_printed(answer: httpx.Response) -> str:
    """Return the answer laid out as in the user's document, ids and times blanked out."""
    text = json.dumps(answer.json(), indent=0, ensure_ascii=False)
    return blanked(text)


def blanked(text: str) -> str:
    """Return `text` with its ids and times replaced by words, an id by the same word each time."""
    text = re.sub(r'"monitorId": "[^"]*"', '"monitorId": "(id)"', text)
    text = re.sub(r'"runId": "[^"]*"', '"runId": "(id)"', text)
    return re.sub(r'"timestamp": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"', "(time)", text)
