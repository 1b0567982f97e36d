"""Alerts by e-mail: what a real SMTP server gets, encrypted or not, and what is recorded."""

import asyncio
import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from crontify_cli.model import Ping
from crontify_cli.sandbox import mail, post
from crontify_cli.sandbox.channels import channels_of
from crontify_cli.sandbox.courier import Courier
from crontify_cli.sandbox.identity import now
from crontify_cli.sandbox.outbox import Message, Result
from crontify_cli.sandbox.pings import record_ping
from crontify_cli.sandbox.post import Sender, send_once
from crontify_cli.sandbox.records import Attempt, SmtpServer
from crontify_cli.sandbox.targets import Target
from tests.faults import self_signed
from tests.programs import need
from tests.sandbox.mailserver import MailServer, silent
from tests.sandbox.outbox import outbox
from tests.sandbox.server import serving
from tests.server import Certificate
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")  # of aiosmtpd: without TLS
USER, PASSWORD = "watch@example.com", "s3cret/pass word"
MESSAGE = Message("a1", "failure", "backup", "r1", "disk full on nas3", "a line of the log", 0)
LOGIN_FORMS = (
    PASSWORD.encode(),
    base64.b64encode(PASSWORD.encode()),
    base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()),
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for 127.0.0.1 that no system trusts."""
    need("openssl")
    return self_signed(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """The same certificate, trusted by this process."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    return certificate


def deliver(
    port: int, *, scheme: str = "smtp", host: str = "127.0.0.1", password: str | None = None
) -> Result:
    """Make one attempt to send the message; password: None to send no user either."""
    user = f"{quote(USER, safe='')}:{quote(password, safe='')}@" if password is not None else ""
    server = SmtpServer(f"{scheme}://{user}{host}:{port}", "crontify@example.com")
    return asyncio.run(send_once(server, Target("email", "mailto:ops@example.com"), MESSAGE))


def assert_nothing_in_the_clear(server: MailServer) -> None:
    assert b"disk full" not in server.clear
    assert b"ops@example.com" not in server.clear
    for form in LOGIN_FORMS:
        assert form not in server.clear


def test_an_e_mail_is_handed_to_the_configured_server_until_it_takes_it(tmp_path: Path) -> None:
    config = tmp_path / "mail.toml"
    with MailServer(refusals=1) as mails:
        config.write_text(
            f'smtp_url = "smtp://127.0.0.1:{mails.port}"\nsmtp_from = "watch@example.com"\n'
        )
        config.chmod(0o600)
        with serving(tmp_path / "sandbox.db", env={"CRONTIFY_CONFIG": str(config)}) as server:
            monitor = server.monitor()
            server.command("channel", "add", monitor, "mailto:ops@example.com")
            body = {"errorMessage": "why", "logOutput": "the\x1b[1mlog"}
            run = server.send(monitor, "fail", body)
            until(lambda: len(server.attempts(monitor)) == 2, "both attempts are recorded")
            assert server.attempts(monitor) == [(None, "451 try again later"), (None, None)]
    ((sender, recipients, message),) = mails.mails
    assert (sender, recipients) == ("watch@example.com", ["ops@example.com"])
    assert message["Subject"] == f"crontify: {monitor}: failure"
    assert message["From"] == "watch@example.com"
    text = message.get_content()
    for words in ("why", run, monitor, "the log begins with", "thelog"):
        assert words.lower() in text.lower()
    assert "\x1b" not in text


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_login_and_e_mail_are_encrypted(trusted: Certificate, scheme: str, mechanism: str) -> None:
    """With STARTTLS where the server has it, and from the start where the URL says so."""
    with MailServer(
        certificate=trusted,
        is_smtps=scheme == "smtps",
        login=(USER, PASSWORD),
        mechanism=mechanism,
    ) as server:
        assert deliver(server.port, scheme=scheme, password=PASSWORD).error is None
        assert_nothing_in_the_clear(server)
        assert b"disk full" in server.encrypted
        assert any(form in server.encrypted for form in LOGIN_FORMS[1:])
    assert [mail.recipients for mail in server.mails] == [["ops@example.com"]]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_nothing_is_sent_to_a_server_whose_certificate_is_not_trusted(
    certificate: Certificate, scheme: str
) -> None:
    with MailServer(
        certificate=certificate, is_smtps=scheme == "smtps", login=(USER, PASSWORD)
    ) as server:
        result = deliver(server.port, scheme=scheme, password=PASSWORD)
        assert result.error == "its certificate is not trusted: self-signed certificate"
        assert_nothing_in_the_clear(server)
        assert server.encrypted == b""


def test_a_password_is_not_sent_to_another_machine_without_tls() -> None:
    with MailServer(login=(USER, PASSWORD)) as server:
        assert deliver(server.port, password=PASSWORD).error is None
        assert LOGIN_FORMS[2] in server.clear
    # Of the loopback addresses, only 127.0.0.1 counts as this machine.
    with MailServer(login=(USER, PASSWORD), address="127.0.0.2") as server:
        result = deliver(server.port, host="127.0.0.2", password=PASSWORD)
        assert result.error == "127.0.0.2 does not offer TLS: the password was not sent"
        assert_nothing_in_the_clear(server)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_wrong_password_is_recorded_but_not_shown(trusted: Certificate, mechanism: str) -> None:
    """Even if the server repeats it in its answer."""
    repeated = " ".join(form.decode() for form in LOGIN_FORMS)
    with MailServer(
        certificate=trusted,
        login=(USER, "right"),
        mechanism=mechanism,
        refusal=f"535 wrong: {repeated}",
    ) as server:
        result = deliver(server.port, password=PASSWORD)
        assert_nothing_in_the_clear(server)
    assert result.error == "the login was refused: 535 wrong: *** *** ***"
    assert server.mails == []


def test_a_password_that_smtp_cannot_carry_is_not_shown() -> None:
    with MailServer(login=(USER, "x")) as server:
        result = deliver(server.port, password=PASSWORD + "ä")
    assert result.error == "the user or the password of smtp_url is not ASCII"


def test_an_e_mail_that_was_accepted_is_delivered_whatever_follows() -> None:
    with MailServer(last_words="500 no") as server:
        assert deliver(server.port).error is None
    assert len(server.mails) == 1


def test_a_server_that_does_not_listen_is_named_in_words(port: int) -> None:
    assert deliver(port).error == "Connection refused"


HELLO = ("220 ready", "250-mail.test\r\n250 STARTTLS")
HANGS = [(), (*HELLO, "220 go ahead"), ("220 ready", "250 ok", "250 ok", "250 ok", "354 go")]


@pytest.mark.parametrize("answers", HANGS, ids=["greeting", "handshake", "data"])
def test_a_server_that_hangs_fails_the_attempt(
    answers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "_TIMEOUT", 0.2)
    with silent(*answers) as (port, _):
        assert deliver(port).error == "no answer within 0 seconds"


@pytest.mark.parametrize("answers", HANGS, ids=["greeting", "handshake", "data"])
def test_a_sandbox_that_stops_does_not_wait_for_a_server_that_hangs(
    answers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it did, this test would take an hour."""
    monkeypatch.setattr(mail, "_TIMEOUT", 3600.0)
    monkeypatch.setattr(post, "TIMEOUT", 3600.0)
    monkeypatch.setattr("crontify_cli.sandbox.courier._CLOSING", 0.2)

    async def stop_while_sending(courier: Courier) -> None:
        task = asyncio.create_task(courier.run())
        await asyncio.to_thread(is_silent.wait, PATIENCE)
        task.cancel()
        await asyncio.wait([task])

    with (
        silent(*answers) as (port, is_silent),
        outbox(a="mailto:ops@example.com") as (
            connection,
            account,
        ),
    ):
        record_ping(connection, account, Ping("a", "fail"), now())
        seen: list[Attempt] = []
        server = SmtpServer(f"smtp://127.0.0.1:{port}", "crontify@example.com")
        courier = Courier(connection, Path("unused"), lambda: Sender(server), seen.append)
        asyncio.run(stop_while_sending(courier))
        assert [attempt.status for attempt in seen] == ["pending"]
        assert is_silent.is_set()
        (channel,) = channels_of(connection, account)
    (delivery,) = channel.deliveries
    assert delivery.status == "pending"
    assert [attempt.error for attempt in delivery.attempts] == [
        "interrupted: the sandbox was stopped"
    ]
