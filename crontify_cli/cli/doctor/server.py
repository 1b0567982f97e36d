"""The doctor on the server: from its name to its answer, by one request that changes nothing."""

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crontify_cli.cli.doctor.check import Check
from crontify_cli.cli.moments import brief, local
from crontify_cli.config import Settings, check_base_url, keys, token
from crontify_cli.errors import CrontifyError

if TYPE_CHECKING:
    from crontify_cli.delivery.api import Api, Probe
    from crontify_cli.delivery.http import Course

SLOW = 2.0
"""Seconds from which on an answer is slow. Jobs do not wait for it, their reports do."""
_CLOCK_OFF, _CLOCK_WRONG = 30.0, 300.0
"""Seconds. CONTRACT.md: beyond the grace period, 300 s by default, a run counts as missed."""
_CERTIFICATE_ENDS = 7 * 86400.0
NOBODY = "crontify-doctor"
_RESOLVER = 10.0
"""Seconds for the name, which no timeout of a request bounds."""


def check_server(settings: Settings) -> Iterator[Check]:
    """Yield the checks from `base_url` to `clock`."""
    rest = ("dns", "tls", "server", "clock")
    try:
        check_base_url(settings)
        from crontify_cli.delivery.api import open_api

        api = open_api(settings, None)
    except (CrontifyError, OSError) as error:
        message = error.message if isinstance(error, CrontifyError) else str(error)
        yield Check("base_url", "failure", message, "crontify config edit")
        yield from (Check(name, "skipped", "there is nobody to ask") for name in rest)
        return
    yield _base_url(settings)
    probe = _probe(api, settings)
    yield _name(api.course, probe)
    yield _tls(settings, api.course, probe)
    yield _answer(settings, api.course, probe)
    yield _clock(probe)


def try_token(settings: Settings, good: Check) -> Check:
    """Return `good`, what is said of a token, unless the server says otherwise.

    It is asked for the log of a run that does not exist: the seed has 401 for a token
    that it does not take, 404 for such a run.
    """
    from crontify_cli.delivery.api import open_api

    with open_api(settings, None, token(settings)) as api:
        answer = api.log(NOBODY, NOBODY)
    if answer.status != 401:
        return good
    found = f"{settings.base_url} does not take it (401: {answer.message})"
    return Check("token", "failure", found, "sign in for a new one: crontify config set token")


def _base_url(settings: Settings) -> Check:
    url, usual = settings.base_url, str(keys.BY_NAME["base_url"].default)
    if url.startswith("http:") and settings.allow_http:
        wire = f"{url}: the key goes there unencrypted (allow_http)"
        return Check("base_url", "warning", wire, "use https://")
    if url != usual and url.split("/")[2] == usual.split("/")[2]:
        unset = f"the API is documented at {usual}: crontify config unset base_url"
        return Check("base_url", "warning", url, unset)
    return Check("base_url", "ok", url)


def _probe(api: "Api", settings: Settings) -> "Probe | None":
    """Return what came of the request, None if it hangs where no timeout reaches: for a name."""
    results: list[Probe] = []

    def ask() -> None:
        with api:
            results.append(api.probe())

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_RESOLVER + settings.connect_timeout + settings.http_timeout)
    return next(iter(results), None)


def _name(course: "Course", probe: "Probe | None") -> Check:
    if not course.looked_up:
        why = f"{course.host}: no answer from the resolver within {_RESOLVER:g}s"
        mend = f"getent hosts {course.host} asks the same; see /etc/resolv.conf"
        return Check("dns", "failure", probe.message if probe else why, mend)
    if course.addresses == (course.host,):
        return Check("dns", "ok", f"{course.host} is an address")
    took = _milliseconds(course.looked_up - course.began)
    return Check("dns", "ok", f"{course.host} is {', '.join(course.addresses[:3])} ({took})")


def _tls(settings: Settings, course: "Course", probe: "Probe | None") -> Check:
    if settings.base_url.startswith("http:"):
        return Check("tls", "ok", "none: http:// is not encrypted")
    if not course.connected:
        return Check("tls", "skipped", "there is no connection")
    if not course.secured:
        found = probe.message if probe else "the handshake does not end"
        mend = "is there an https:// server at that port?"
        if "certificate" in found:
            mend = "for an authority of your own set ca_bundle; a wrong clock does it, too"
        return Check("tls", "failure", found, mend)
    found, ends = f"{course.tls}, {_certificate(course)}", _end_of_certificate(course)
    if ends and ends - time.time() < _CERTIFICATE_ENDS:
        return Check("tls", "warning", found, "whoever runs the server has to renew it")
    return Check("tls", "ok", found)


def _certificate(course: "Course") -> str:
    names = {name: value for part in course.certificate.get("issuer", ()) for name, value in part}
    issuer = names.get("organizationName") or names.get("commonName") or "nobody in particular"
    ends = _end_of_certificate(course)
    return f"certificate of {issuer}" + (f", until {local(ends)[:10]}" if ends else "")


def _end_of_certificate(course: "Course") -> float | None:
    import ssl

    try:
        return float(ssl.cert_time_to_seconds(str(course.certificate["notAfter"])))
    except (KeyError, ValueError):
        return None


def _answer(settings: Settings, course: "Course", probe: "Probe | None") -> Check:
    if not course.looked_up:
        return Check("server", "skipped", "its name leads nowhere")
    if course.connected and not course.secured and settings.base_url.startswith("https:"):
        return Check("server", "skipped", "there is no secure connection to it")
    if probe is None or probe.status is None:
        message = probe.message if probe else f"no answer from {settings.base_url}"
        return Check("server", "failure", message, "reports stay queued until it answers")
    took = _milliseconds(probe.seconds)
    if 300 <= probe.status < 400:
        return Check("server", "failure", probe.message, "set base_url to where it leads")
    found = f"answers within {took}{probe.via}"
    if probe.status >= 500:
        words = f"{found}: {probe.status} {probe.message}"
        return Check("server", "warning", words, "reports stay queued until it is well again")
    if probe.seconds >= SLOW:
        return Check("server", "warning", found, "jobs do not wait for it, their reports do")
    return Check("server", "ok", found)


def _clock(probe: "Probe | None") -> Check:
    if probe is None or probe.ahead is None:
        return Check("clock", "skipped", "no Date from the server to compare with")
    # A Date has whole seconds, and was set at some moment while the answer was waited for.
    off = max(0.0, abs(probe.ahead) - probe.seconds - 1)
    if off < _CLOCK_OFF:
        return Check("clock", "ok", "as the server's")
    found = f"{brief(off)} {'ahead of' if probe.ahead > 0 else 'behind'} the server's"
    mend = "set it, and let NTP keep it: timedatectl set-ntp true"
    return Check("clock", "failure" if off >= _CLOCK_WRONG else "warning", found, mend)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
