"""`crontify sandbox serve`: runs the server until it is stopped."""

import asyncio
import errno
import ipaddress
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Coroutine, Iterable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from crontify_cli.errors import CrontifyError, say
from crontify_cli.sandbox.app import BASE, make_app
from crontify_cli.sandbox.courier import Courier
from crontify_cli.sandbox.database import chosen, default_path, open_database
from crontify_cli.sandbox.detector import keep_detecting
from crontify_cli.sandbox.events import EventHub
from crontify_cli.sandbox.guard import Hosts
from crontify_cli.sandbox.identity import DEFAULT_DAYS, DEFAULT_SECONDS, make_token, now
from crontify_cli.sandbox.live import EventPrinter, write_json, write_lines
from crontify_cli.sandbox.page import page_link
from crontify_cli.sandbox.protocol import Protocol
from crontify_cli.sandbox.records import Detection, Event, Millis, SmtpServer, alerts_of
from crontify_cli.sandbox.store import Store

if TYPE_CHECKING:
    from crontify_cli.sandbox.post import Sender

_BUSY_TIMEOUT = 2.0  # seconds; every request waits while another program writes
_GRACE = 2  # seconds that open requests have left when the server is stopped


def serve(
    host: str,
    port: int,
    db: Path | None,
    name: str,
    plan: Millis | None,
    detect_every: float,
    smtp: SmtpServer | None,
    *,
    program: str,
    as_json: bool,
    until_stdin_closes: bool,
) -> None:
    """Serve until SIGTERM, SIGINT or, if requested, the end of stdin.

    name: the account's. plan: the minimum interval between two pings of a monitor, None to
        leave it unchanged. detect_every: seconds. smtp: for e-mail, None if not configured.
    program: how to call this one in the commands that are suggested.
    Raises CrontifyError if the port or the database cannot be used.
    """
    # Open the port before the key is created, which is shown only once.
    path = db or default_path()
    with (
        listen(host, port) as listener,
        open_database(path, create=True, busy_timeout=_BUSY_TIMEOUT) as connection,
    ):
        if not is_loopback(listener):
            say(
                f"warning: the sandbox listens on {host}: other machines can reach it,"
                " and the traffic is not encrypted"
            )
        store = Store(connection)
        account = store.get_or_create_account(name)
        if plan is not None:
            store.set_plan(account, plan)
        url = base_url(listener, BASE)
        key = None if store.has_key(account) else store.rotate_key(account)
        token = make_token(store.signing_secret(), account, now(), DEFAULT_SECONDS)
        link = page_link(base_url(listener, ""), token)
        printer, hub = EventPrinter(write_json if as_json else write_lines), EventHub()
        courier = Courier(connection, path, partial(_make_sender, smtp), hub.publish)

        def on_event(event: Event) -> None:
            printer.show(event)
            if alerts_of(event):
                courier.wake()

        def on_detection(detection: Detection) -> None:
            hub.publish(detection)
            on_event(detection)

        server = _Server(make_app(store, path, hub, on_event, known_hosts(listener, host)), hub)
        detecting = keep_detecting(connection, path, round(detect_every * 1000), on_detection)
        _stop_on_signals(server)
        if until_stdin_closes:
            threading.Thread(target=_stop_at_end_of_stdin, args=(server,), daemon=True).start()
        if as_json:
            ready = {"event": "ready", "url": url, "token": token, "page": link}
            print(json.dumps(ready | ({"api_key": key} if key else {})), flush=True)
        else:
            where = chosen(None if path == default_path() else path, name)
            print(_welcome(url, key, token, link, where, program), flush=True)
        asyncio.run(_run(server, listener, [detecting, courier.run()]))
        printer.close()


def _make_sender(smtp: SmtpServer | None) -> "Sender":
    from crontify_cli.sandbox.post import Sender  # httpx is slow to import

    return Sender(smtp)


async def _run(
    server: uvicorn.Server,
    listener: socket.socket,
    background: Iterable[Coroutine[object, object, None]],
) -> None:
    """Serve until the server is stopped, and run the background tasks as long."""
    tasks = [asyncio.create_task(each) for each in background]
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class _Server(uvicorn.Server):
    """Ends the event streams first when it stops, since it waits for open requests."""

    def __init__(self, app: FastAPI, hub: EventHub) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        config = uvicorn.Config(
            app,
            http=Protocol,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.close()
        await super().shutdown(sockets)


def _stop_on_signals(server: uvicorn.Server) -> None:
    # uvicorn installs its own handlers, but restores ours and raises the signal again when
    # it has stopped. The default handlers would turn a clean stop into a failure.
    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _stop_at_end_of_stdin(server: uvicorn.Server) -> None:
    while os.read(0, 4096):
        pass
    server.should_exit = True


def _welcome(url: str, key: str | None, token: str, link: str, where: str, program: str) -> str:
    """Return what a person sees at the start.

    key: None if it has been shown before. where: the options for the database and the account.
    """
    if key:
        intro = f"The API key is shown only once; the token is valid for {DEFAULT_DAYS} days."
    else:
        key, token = f"$({program} sandbox key rotate{where})", f"$({program} sandbox token{where})"
        intro = "The API key was shown at the first start; the following creates a new one."
    return f"""\
The Crontify sandbox is listening on {url} (press Ctrl-C to stop it).

Open its page in a browser on this machine; the link signs you in:

{link}

{intro} Paste this into your shell:

export CRONTIFY_BASE_URL={url}
export CRONTIFY_API_KEY={key}
export CRONTIFY_TOKEN={token}

Add a monitor:     {program} sandbox monitor add backup{where}
Create a new key:  {program} sandbox key rotate{where}
Create a token:    {program} sandbox token{where}

Pings:"""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the address; port 0 selects a free one.

    Raises CrontifyError if the address does not exist or the port cannot be used.
    """
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        # Not socket.create_server: asyncio sets TCP_NODELAY only on sockets created with a
        # protocol, and without it each answer waits 40 ms for a delayed ACK.
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        if listener:
            listener.close()
        reason = (error.strerror or str(error)).lower()
        advice = {
            errno.EADDRINUSE: "stop the program that uses it, or choose another port with --port",
            errno.EACCES: "choose a port above 1023 with --port",
        }.get(error.errno or 0, "choose an address of this machine with --host")
        raise CrontifyError(
            f"the sandbox cannot listen on {host} port {port}: {reason}; {advice}"
        ) from None
    return listener


def base_url(listener: socket.socket, base: str) -> str:
    """Return the URL at which this machine can reach the listener."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = "::1" if address.version == 6 else "127.0.0.1"
    return f"http://[{host}]:{port}{base}" if ":" in host else f"http://{host}:{port}{base}"


def known_hosts(listener: socket.socket, host: str) -> Hosts:
    """Return the values of the header `Host` that a client of the listener may send.

    host: the name or address that it was asked to listen on.
    """
    bound = listener.getsockname()[0]
    everywhere = ipaddress.ip_address(bound).is_unspecified
    names = {host, bound, *([socket.gethostname()] if everywhere else [])}
    return Hosts(names, any_address=everywhere)


def is_loopback(listener: socket.socket) -> bool:
    """Tell whether only this machine can reach the listener."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
