"""The doctor's checks of the server: one request that changes nothing, from DNS to answer."""

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crontify_cli.cli.client import connect
from crontify_cli.cli.doctor.check import Check
from crontify_cli.cli.moments import brief, local
from crontify_cli.config import Settings, keys, token
from crontify_cli.errors import CrontifyError

if TYPE_CHECKING:
    from crontify_cli.delivery.api import Api, Probe
    from crontify_cli.delivery.network import ConnectionTrace

SLOW = 2.0
"""Seconds after which an answer counts as slow."""
_CLOCK_OFF, _CLOCK_WRONG = 30.0, 300.0
"""Seconds. After the grace period, 300 s by default, a run counts as missed (CONTRACT.md)."""
_CERTIFICATE_EXPIRES_SOON = 7 * 86400.0
_RESOLVER = 10.0
"""Seconds to look up the name, which the timeouts of a request do not limit."""


def check_server(settings: Settings) -> Iterator[Check]:
    """Yield the checks from `base_url` to `clock`."""
    try:
        api = connect(settings)
    except (CrontifyError, OSError) as error:
        message = error.message if isinstance(error, CrontifyError) else str(error)
        yield Check("base_url", "failure", message, "crontify config edit")
        for name in ("dns", "tls", "server", "clock"):
            yield Check(name, "skipped", "no server to check")
        return
    yield _base_url(settings)
    probe = _probe(api, settings)
    yield _dns(api.trace, probe)
    yield _tls(settings, api.trace, probe)
    yield _server(settings, api.trace, probe)
    yield _clock(probe)


def confirm_token(settings: Settings, good: Check) -> Check:
    """Return `good`, the result for a valid token, or a failure if the server rejects it.

    The request is for the log of a run that does not exist: the API documents 401 for a
    token that is not valid and 404 for such a run.
    """
    from crontify_cli.delivery.api import NO_MONITOR, NO_RUN

    with connect(settings, token=token(settings)) as api:
        answer = api.log(NO_MONITOR, NO_RUN)
    if answer.status != 401:
        return good
    found = f"{settings.base_url} rejects the token (401: {answer.message})"
    return Check("token", "failure", found, "get a new token, then run crontify config set token")


def _base_url(settings: Settings) -> Check:
    url, usual = settings.base_url, str(keys.BY_NAME["base_url"].default)
    if url.startswith("http:") and settings.allow_http:
        found = f"{url}: the key is sent unencrypted (allow_http is set)"
        return Check("base_url", "warning", found, "use https://")
    if url != usual and url.split("/")[2] == usual.split("/")[2]:
        advice = f"the documented URL is {usual}; run crontify config unset base_url"
        return Check("base_url", "warning", url, advice)
    return Check("base_url", "ok", url)


def _probe(api: "Api", settings: Settings) -> "Probe | None":
    """Send the request; return None if looking up the name, which has no timeout, hangs."""
    results: list[Probe] = []

    def ask() -> None:
        with api:
            results.append(api.probe())

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_RESOLVER + settings.connect_timeout + settings.http_timeout)
    return next(iter(results), None)


def _dns(trace: "ConnectionTrace", probe: "Probe | None") -> Check:
    if not trace.looked_up:
        timeout = f"{trace.host}: no answer from the resolver within {_RESOLVER:g}s"
        advice = f"try getent hosts {trace.host}, and check /etc/resolv.conf"
        return Check("dns", "failure", probe.message if probe else timeout, advice)
    if trace.addresses == (trace.host,):
        return Check("dns", "ok", f"{trace.host} is an IP address")
    addresses = ", ".join(trace.addresses[:3])
    took = _milliseconds(trace.looked_up - trace.began)
    return Check("dns", "ok", f"{trace.host} has address {addresses} ({took})")


def _tls(settings: Settings, trace: "ConnectionTrace", probe: "Probe | None") -> Check:
    if settings.base_url.startswith("http:"):
        return Check("tls", "ok", "not used: the base URL starts with http://")
    if not trace.connected:
        return Check("tls", "skipped", "not connected")
    if not trace.secured:
        found = probe.message if probe else "the TLS handshake did not finish"
        advice = "check that an https:// server listens on that port"
        if "certificate" in found:
            advice = "set ca_bundle if the certificate is from your own CA; check the clock"
        return Check("tls", "failure", found, advice)
    names = {name: value for part in trace.certificate.get("issuer", ()) for name, value in part}
    issuer = names.get("organizationName") or names.get("commonName") or "an unnamed issuer"
    found = f"{trace.tls}, certificate issued by {issuer}"
    ends = _end_of_certificate(trace)
    if ends is None:
        return Check("tls", "ok", found)
    found += f", valid until {local(ends)[:10]}"
    if ends - time.time() < _CERTIFICATE_EXPIRES_SOON:
        return Check("tls", "warning", found, "the server's operator has to renew the certificate")
    return Check("tls", "ok", found)


def _end_of_certificate(trace: "ConnectionTrace") -> float | None:
    import ssl

    try:
        return float(ssl.cert_time_to_seconds(str(trace.certificate["notAfter"])))
    except (KeyError, ValueError):
        return None


def _server(settings: Settings, trace: "ConnectionTrace", probe: "Probe | None") -> Check:
    if not trace.looked_up:
        return Check("server", "skipped", "its name cannot be resolved")
    if trace.connected and not trace.secured and settings.base_url.startswith("https:"):
        return Check("server", "skipped", "no secure connection")
    if probe is None or probe.status is None:
        message = probe.message if probe else f"no answer from {settings.base_url}"
        advice = "check the network; reports stay queued until the server answers"
        return Check("server", "failure", message, advice)
    took = _milliseconds(probe.seconds)
    if 300 <= probe.status < 400:
        return Check("server", "failure", probe.message, "set base_url to the new address")
    if probe.problem:
        return Check("server", "failure", probe.problem, "check base_url and the network")
    found = f"answers within {took}{probe.via}"
    if probe.status >= 500:
        found += f": {probe.status} {probe.message}"
        advice = "wait; reports stay queued until the server has recovered"
        return Check("server", "warning", found, advice)
    if probe.seconds >= SLOW:
        return Check("server", "warning", found, "reports take longer; jobs are not delayed")
    return Check("server", "ok", found)


def _clock(probe: "Probe | None") -> Check:
    if probe is None or probe.ahead is None:
        return Check("clock", "skipped", "the server sent no Date to compare with")
    # A Date is in whole seconds, and was set at any time between request and answer.
    off = max(0.0, abs(probe.ahead) - probe.seconds - 1)
    if off < _CLOCK_OFF:
        return Check("clock", "ok", "agrees with the server's clock")
    found = f"{brief(off)} {'ahead of' if probe.ahead > 0 else 'behind'} the server's clock"
    advice = "synchronize the clock with NTP: timedatectl set-ntp true"
    return Check("clock", "failure" if off >= _CLOCK_WRONG else "warning", found, advice)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
