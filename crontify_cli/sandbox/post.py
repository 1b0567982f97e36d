"""Sends one alert to one channel: a request over HTTP, or an e-mail over SMTP.

Only to the URL of the channel: redirects are not followed.
"""

import asyncio
import json
import time
from urllib.parse import urlsplit

import httpx

from crontify_cli import __version__
from crontify_cli.errors import one_line
from crontify_cli.sandbox.identity import now
from crontify_cli.sandbox.mail import MailError, hand_over
from crontify_cli.sandbox.messages import to_email, to_json
from crontify_cli.sandbox.outbox import TIMEOUT, Message, Result
from crontify_cli.sandbox.reasons import reason_of
from crontify_cli.sandbox.records import ChannelKind, SmtpServer
from crontify_cli.sandbox.targets import Target, shorten

_CONNECT_TIMEOUT = 10.0
_MAX_SHOWN = 200
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _RefusedError(Exception):
    """A receiver answered, but did not accept the alert."""

    def __init__(self, reason: str, status: int | None = None, retry_after: int = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class Sender:
    """Sends alerts; made in a thread, since loading the CA certificates takes a while."""

    def __init__(self, smtp: SmtpServer | None) -> None:
        self._smtp = smtp
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            timeout=httpx.Timeout(TIMEOUT, connect=_CONNECT_TIMEOUT),
            # The proxy of the environment, but not for this machine.
            mounts={f"all://{'[::1]' if host == '::1' else host}": None for host in _LOOPBACK},
            headers={"User-Agent": f"crontify-sandbox/{__version__}"},
        )

    async def send(self, kind: ChannelKind, url: str, message: Message) -> Result:
        """Make one attempt, and return its result; raises nothing."""
        at, began = now(), time.monotonic()
        status: int | None = None
        error: str | None = None
        retry_after = 0
        try:
            async with asyncio.timeout(TIMEOUT):
                if kind == "email":
                    await self._mail(url, message)
                else:
                    status = await self._post(kind, url, message)
        except _RefusedError as refused:
            status, error, retry_after = refused.status, str(refused), refused.retry_after
        except TimeoutError:
            error = f"no answer within {TIMEOUT:.0f} seconds"
        except httpx.ConnectTimeout:
            error = f"no connection within {_CONNECT_TIMEOUT:.0f} seconds"
        except MailError as problem:
            error = one_line(str(problem), _MAX_SHOWN)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as problem:
            error = one_line(reason_of(problem).replace(url, shorten(url)), _MAX_SHOWN)
        duration = round((time.monotonic() - began) * 1000)
        return Result(at, duration, status, error, retry_after * 1000)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, kind: ChannelKind, url: str, message: Message) -> int:
        """Return the status of an answer that accepts the alert; raises _RefusedError otherwise."""
        request = self._client.build_request(
            "POST",
            url,
            content=json.dumps(to_json(kind, message)),
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": message.id,
                "Accept-Encoding": "identity",
            },
        )
        answer = await self._client.send(request, stream=True)
        try:
            if answer.is_success:
                return answer.status_code
            beginning = b""
            if not answer.is_redirect:
                beginning = await anext(aiter(answer.aiter_raw(_MAX_SHOWN)), b"")
        finally:
            await answer.aclose()
        words = one_line(beginning.decode("utf-8", "replace"), _MAX_SHOWN)
        if answer.is_redirect:
            words = "redirects are not followed"
        asked = answer.headers.get("Retry-After", "")
        raise _RefusedError(
            f"HTTP {answer.status_code}" + (f": {words}" if words else ""),
            answer.status_code,
            int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 0,
        )

    async def _mail(self, url: str, message: Message) -> None:
        if not self._smtp:
            raise MailError(
                "no SMTP server is configured: crontify config set smtp_url smtp://HOST"
            )
        mail = to_email(message, self._smtp.sender, urlsplit(url).path)
        await hand_over(self._smtp.url, mail)


async def send_once(smtp: SmtpServer | None, target: Target, message: Message) -> Result:
    """Send one message with a sender of its own."""
    sender = Sender(smtp)
    try:
        return await sender.send(*target, message)
    finally:
        await sender.close()
