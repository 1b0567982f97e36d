"""`crontify sandbox serve`: from the command line to a server that has stopped."""

import errno
import ipaddress
import json
import logging
import os
import shlex
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import uvicorn

from crontify_cli.errors import CrontifyError
from crontify_cli.sandbox.app import BASE, make_app
from crontify_cli.sandbox.database import opened
from crontify_cli.sandbox.identity import DEFAULT_DAYS, DEFAULT_SECONDS, make_token, now
from crontify_cli.sandbox.live import Live, write_json, write_lines
from crontify_cli.sandbox.records import Account, Millis
from crontify_cli.sandbox.store import Store

_BUSY_TIMEOUT = 2.0  # seconds; while another program writes, every request waits
_GRACE = 2  # seconds for requests in flight when the server is stopped


class ServeOptions(NamedTuple):
    """What the command line of `serve` says; `plan` None leaves the account's as it is."""

    host: str
    port: int
    db: Path
    account: str
    plan: Millis | None
    as_json: bool
    until_stdin_closes: bool


class _Ready(NamedTuple):
    url: str
    key: str | None
    token: str
    db: Path


def serve(options: ServeOptions) -> None:
    """Serve until SIGTERM, SIGINT, or, if asked for, the end of stdin.

    Raises CrontifyError when the port cannot be had or the database not be used.
    """
    # The port first: the key is shown once, so it is made only by who can show it.
    with (
        listen(options.host, options.port) as listener,
        opened(options.db, make=True, busy_timeout=_BUSY_TIMEOUT) as connection,
    ):
        if not is_loopback(listener):
            print(
                f"crontify: warning: the sandbox listens on {options.host}: other machines can"
                " reach it, and what they send is not encrypted",
                file=sys.stderr,
            )
        store = Store(connection)
        account = store.made_account(options.account)
        if options.plan is not None:
            store.set_plan(account, options.plan)
        ready = _ready(store, account, base_url(listener, BASE), options.db)
        live = Live(write_json if options.as_json else write_lines)
        app = make_app(store, options.db, live.show)
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE,
            )
        )
        _stop_on_signals(server)
        if options.until_stdin_closes:
            threading.Thread(target=_stop_at_end_of_stdin, args=(server,), daemon=True).start()
        _print_ready(ready, as_json=options.as_json)
        server.run(sockets=[listener])
        live.close()


def _ready(store: Store, account: Account, url: str, db: Path) -> _Ready:
    key = None if store.has_key(account) else store.rotate_key(account)
    token = make_token(store.signing_secret(), account, now(), DEFAULT_SECONDS)
    return _Ready(url, key, token, db)


def _stop_on_signals(server: uvicorn.Server) -> None:
    # uvicorn has handlers of its own, but puts ours back and raises the signal again
    # when it has stopped: the default ones would make a failure of a clean end.
    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _stop_at_end_of_stdin(server: uvicorn.Server) -> None:
    while os.read(0, 4096):
        pass
    server.should_exit = True


def _print_ready(ready: _Ready, *, as_json: bool) -> None:
    if as_json:
        line: dict[str, object] = {"event": "ready", "url": ready.url, "token": ready.token}
        if ready.key:
            line["api_key"] = ready.key
        print(json.dumps(line), flush=True)
        return
    print(_welcome(ready) if ready.key else _again(ready), flush=True)


def _welcome(ready: _Ready) -> str:
    return f"""\
The Crontify sandbox listens on {ready.url} (Ctrl-C ends it).

Its API key, shown only this once, and a token for {DEFAULT_DAYS} days. Paste into your shell:

export CRONTIFY_BASE_URL={ready.url}
export CRONTIFY_API_KEY={ready.key}
export CRONTIFY_TOKEN={ready.token}

Make a monitor:     crontify sandbox monitor add backup{_db(ready)}
Another key, token: crontify sandbox key rotate{_db(ready)}, crontify sandbox token{_db(ready)}

Pings:"""


def _again(ready: _Ready) -> str:
    return f"""\
The Crontify sandbox listens on {ready.url} (Ctrl-C ends it).

Its API key was shown at the first start. Another one, and a token:

export CRONTIFY_BASE_URL={ready.url}
export CRONTIFY_API_KEY=$(crontify sandbox key rotate{_db(ready)})
export CRONTIFY_TOKEN=$(crontify sandbox token{_db(ready)})

Pings:"""


def _db(ready: _Ready) -> str:
    from crontify_cli.sandbox.database import default_path

    return "" if ready.db == default_path() else f" --db {shlex.quote(str(ready.db))}"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 is a free one.

    Raises CrontifyError for a port in use, one that we may not have, or no such host.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        # Not socket.create_server: asyncio sets TCP_NODELAY only on sockets that name their
        # protocol, and without it each answer waits 40 ms for a delayed ACK.
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refused(host, port, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from None
    return listener


def _refused(host: str, port: int, error: OSError) -> CrontifyError:
    reason = (error.strerror or str(error)).lower()
    advice = {
        errno.EADDRINUSE: "stop what is there, or choose another with --port",
        errno.EACCES: "choose one from 1024 on with --port",
    }.get(error.errno or 0, "choose an address of this machine with --host")
    return CrontifyError(f"the sandbox cannot listen on {host} port {port}: {reason}: {advice}")


def base_url(listener: socket.socket, base: str) -> str:
    """Return the URL under which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = "::1" if address.version == 6 else "127.0.0.1"
    return f"http://[{host}]:{port}{base}" if ":" in host else f"http://{host}:{port}{base}"


def is_loopback(listener: socket.socket) -> bool:
    """Tell whether only this machine reaches the listener."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
