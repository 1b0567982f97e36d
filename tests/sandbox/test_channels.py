"""Alerts that are sent: what arrives at each kind of channel, in order, and once in the end."""

import contextlib
import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.model import Ping
from crontify_cli.sandbox.channels import add_channel
from crontify_cli.sandbox.database import open_database, transaction
from crontify_cli.sandbox.outbox import KEEP_TRYING, Result, pause_after, settle, take_due
from crontify_cli.sandbox.pings import record_ping
from crontify_cli.sandbox.store import Store
from crontify_cli.sandbox.targets import parse_target, shorten
from tests.sandbox.outbox import outbox
from tests.sandbox.receivers import (
    Request,
    accept,
    receiving,
    refuse,
    reset,
    reset_after_reading,
)
from tests.sandbox.server import Server, sandbox, serving
from tests.waiting import until

LONG_LOG = "\x1b[31mred\x1b[0m <script> @everyone ``` & \x07" + "x" * 2_000


def _channel(server: Server, monitor: str, url: str, *args: str) -> str:
    words = server.command("channel", "add", monitor, url, *args).split()
    return words[1]


def _fail(server: Server, monitor: str, *messages: str) -> None:
    for message in messages:
        server.send(monitor, "fail", {"errorMessage": message})


# What arrives


def test_a_webhook_gets_json_with_the_beginning_of_the_log(server: Server) -> None:
    monitor = server.monitor()
    with receiving() as receiver:
        _channel(server, monitor, receiver.url)
        run = server.send(monitor, "fail", {"errorMessage": "why", "logOutput": LONG_LOG})
        (body,) = receiver.until_accepted(1)
    (alert,) = server.alerts(monitor)
    assert body == {
        "id": alert["id"],
        "type": "failure",
        "monitor": monitor,
        "runId": run,
        "message": "why",
        "logSnippet": LONG_LOG[:500],
        "createdAt": alert["createdAt"],
    }
    assert receiver.headers[0]["Idempotency-Key"] == alert["id"]
    assert server.api_key not in str(receiver.headers)


def test_each_alert_of_a_monitor_reaches_each_of_its_channels(server: Server) -> None:
    monitor, other = server.monitor(), server.monitor()
    server.rule(monitor, "rows", "lt", "1")
    with receiving() as one, receiving() as two:
        for receiver in (one, two):
            _channel(server, monitor, receiver.url)
        _fail(server, other, "of another monitor")
        server.send(monitor, "success", {"meta": {"rows": 0}})
        server.send(monitor, "start")
        server.send(monitor, "start")
        for receiver in (one, two):
            bodies = receiver.until_accepted(2)
            assert [body["type"] for body in bodies] == ["silent_failure", "overlapped"]
            assert [body["logSnippet"] for body in bodies] == [None, None]


def test_slack_and_discord_get_text_in_which_nothing_of_the_log_has_a_meaning(
    server: Server,
) -> None:
    monitor = server.monitor()
    with receiving() as slack, receiving() as discord:
        _channel(server, monitor, slack.url, "--type", "slack")
        _channel(server, monitor, discord.url, "--type", "discord")
        server.send(monitor, "fail", {"errorMessage": "a\nb", "logOutput": LONG_LOG})
        (to_slack,) = slack.until_accepted(1)
        (to_discord,) = discord.until_accepted(1)
    head, _, rest = to_slack["text"].partition("\n")
    assert head == f"{monitor}: failure: a b"
    assert rest.startswith("```\nred &lt;script&gt; @everyone ''' &amp; xxx")
    assert rest.endswith("x\n```")
    assert set(to_discord) == {"content", "allowed_mentions"}
    assert to_discord["allowed_mentions"] == {"parse": []}
    assert "red <script> @everyone ''' & xxx" in to_discord["content"]
    assert len(to_discord["content"]) <= 2_000


def test_without_an_smtp_server_the_attempt_says_how_to_name_one(server: Server) -> None:
    monitor = server.monitor()
    _channel(server, monitor, "mailto:ops@example.com")
    _fail(server, monitor, "why")
    until(lambda: server.attempts(monitor), "an attempt is recorded")
    error = server.attempts(monitor)[0][1]
    assert error is not None
    assert "crontify config set smtp_url" in error


# In order, and once in the end


def test_a_receiver_that_is_down_and_resets_and_is_slow_gets_each_alert_once_and_in_order(
    tmp_path: Path, port: int
) -> None:
    """And the sandbox is killed in the meantime."""
    db = tmp_path / "sandbox.db"
    slowly = threading.Event()

    def accept_slowly(request: Request) -> None:
        slowly.wait(60)
        accept(request)

    with serving(db) as server:
        one, other = server.monitor(), server.monitor()
        for monitor in (one, other):
            _channel(server, monitor, f"http://127.0.0.1:{port}/{monitor}")
        _fail(server, one, "1", "2", "3")
        _fail(server, other, "1", "2")
        for monitor in (one, other):
            until(lambda: server.attempts(monitor), "it was tried")  # noqa: B023
        server.process.kill()
    with open_database(db, create=False) as connection:
        # As if the pause were over, and the lease of an attempt that was under way.
        connection.execute("UPDATE deliveries SET next_attempt_at = 0")
    behaviours = (reset, refuse(503), reset_after_reading, accept, refuse(500), accept_slowly)
    with serving(db) as again, receiving(*behaviours, port=port) as receiver:
        key = {"X-API-Key": server.api_key}
        body = {"errorMessage": "4"}
        assert again.ping(one, "fail", body, headers=key).status_code == 200
        until(lambda: receiver.count >= len(behaviours), "it has misbehaved")
        slowly.set()
        receiver.until_accepted(6)
        until(
            lambda: all(
                channel["pending"] == 0 for channel in again.get("/channels").json()["data"]
            ),
            "all is delivered",
        )
        for monitor, messages in ((one, ["1", "2", "3", "4"]), (other, ["1", "2"])):
            arrived = [
                body
                for path, body in zip(receiver.paths, receiver.bodies, strict=True)
                if path == f"/{monitor}"
            ]
            assert [body["message"] for body in arrived] == messages
            (channel,) = again.channels(monitor)
            assert [each["status"] for each in channel["deliveries"]] == ["delivered"] * len(
                messages
            )
        errors = [error for monitor in (one, other) for _, error in again.attempts(monitor)]
        assert sum(error is None for error in errors) == 6
        assert sum(error is not None for error in errors) >= 2 + 4
        assert "HTTP 503" in errors
        assert "HTTP 500" in errors


def test_a_delivery_holds_up_neither_pings_nor_other_channels(server: Server) -> None:
    stuck, free = server.monitor(), server.monitor()
    release = threading.Event()

    def hold(request: Request) -> None:
        release.wait(60)
        accept(request)

    with receiving(hold) as slow, receiving() as quick:
        _channel(server, stuck, slow.url)
        _channel(server, free, quick.url)
        _fail(server, stuck, "1")
        until(lambda: slow.count, "the receiver holds the alert")
        _fail(server, stuck, "2")
        _fail(server, free, "3")
        quick.until_accepted(1)
        assert slow.bodies == []
        release.set()
        assert [body["message"] for body in slow.until_accepted(2)] == ["1", "2"]
        assert slow.count == 2


def test_a_redirect_is_not_followed(server: Server) -> None:
    monitor = server.monitor()
    with receiving() as elsewhere, receiving(refuse(307, Location=elsewhere.url)) as receiver:
        _channel(server, monitor, receiver.url)
        _fail(server, monitor, "1")
        receiver.until_accepted(1)  # tried again, at the same place
        until(lambda: len(server.attempts(monitor)) == 2, "both attempts are recorded")
        assert elsewhere.count == 0
    assert server.attempts(monitor) == [
        (307, "HTTP 307: redirects are not followed"),
        (200, None),
    ]


def test_an_attempt_says_in_words_why_there_was_no_answer(server: Server, port: int) -> None:
    refusing, resetting = server.monitor(), server.monitor()
    with receiving(reset_after_reading) as receiver:
        _channel(server, resetting, receiver.url)
        _channel(server, refusing, f"http://localhost:{port}/")
        for monitor, reason in (
            (resetting, "Connection reset by peer"),
            (refusing, "Connection refused"),
        ):
            _fail(server, monitor, "why")
            until(lambda: server.attempts(monitor), "it was tried")  # noqa: B023
            assert server.attempts(monitor)[0] == (None, reason)


def test_a_channel_that_is_removed_gets_nothing_more(server: Server) -> None:
    monitor = server.monitor()

    def refuse_the_first_alert(request: Request) -> None:
        body = request.read()
        if body["message"] == "1":
            request.answer(500, "oops")
            return
        request.server.accept(request.path, dict(request.headers), body)
        request.answer(200)

    with receiving(*[refuse_the_first_alert] * 50) as receiver:
        channel = _channel(server, monitor, receiver.url)
        _fail(server, monitor, "1")
        until(lambda: server.attempts(monitor), "it was tried")
        assert server.attempts(monitor)[0] == (500, "HTTP 500: oops")
        assert server.command("channel", "remove", channel) == f"channel {channel} removed"
        assert server.channels(monitor) == []
        _channel(server, monitor, receiver.url)
        _fail(server, monitor, "2")
        assert [body["message"] for body in receiver.until_accepted(1)] == ["2"]


steps = st.lists(
    st.sampled_from(["alert a", "alert b", "accept", "refuse", "crash"]) | st.integers(1, 10**8),
    max_size=80,
)


@given(steps)
def test_whatever_happens_alerts_are_accepted_in_order_and_none_is_left_out(
    course: list[str | int],
) -> None:
    now, made, accepted = 10**12, {"a": 0, "b": 0}, dict[str, list[int]](a=[], b=[])
    with outbox(a="http://127.0.0.1/a", b="http://127.0.0.1/b") as (connection, account):

        def deliver(outcome: str) -> None:
            jobs, _ = take_due(connection, now, 60_000, ())
            assert len({job.channel for job in jobs}) == len(jobs)
            assert take_due(connection, now, 60_000, ())[0] == []  # claimed
            for job in jobs:
                if outcome == "accept":
                    accepted[job.message.monitor_id].append(int(job.message.message))
                if outcome != "crash":
                    error = None if outcome == "accept" else "refused"
                    settle(connection, job, Result(now, 5, None, error))

        for step in [*course, *[10**7, "accept"] * len(course)]:
            if isinstance(step, int):
                now += step
            elif step.startswith("alert"):
                name = step[-1]
                made[name] += 1
                ping = Ping(name, "fail", error_message=str(made[name]))
                record_ping(connection, account, ping, now)
            else:
                deliver(step)
        given_up = dict(
            connection.execute(
                "SELECT m.id, count(*) FROM deliveries d JOIN channels c ON c.row = d.channel"
                " JOIN monitors m ON m.row = c.monitor WHERE d.status = 'abandoned' GROUP BY m.id"
            ).fetchall()
        )
    for name, numbers in accepted.items():
        assert numbers == sorted(set(numbers))
        assert len(numbers) + given_up.get(name, 0) == made[name]


def test_pauses_grow_up_to_an_hour_and_an_alert_is_given_up_after_three_days() -> None:
    assert [pause_after(failures) for failures in (1, 2, 3, 4)] == [1_000, 2_000, 4_000, 8_000]
    assert pause_after(13) == pause_after(1_000) == 3_600_000
    now, attempts = 10**12, 0
    with outbox(a="http://127.0.0.1/a") as (connection, account):
        record_ping(connection, account, Ping("a", "fail", error_message="old"), now)
        began = now
        while jobs := take_due(connection, now, 60_000, ())[0]:
            attempts += 1
            if attempts == 2:
                record_ping(connection, account, Ping("a", "fail", error_message="new"), now)
            if jobs[0].message.message == "new":
                break
            settle(connection, jobs[0], Result(now, 0, 500, "HTTP 500", retry_after=10**9))
            (now,) = connection.execute(
                "SELECT next_attempt_at FROM deliveries ORDER BY row LIMIT 1"
            ).fetchone()
        status = connection.execute("SELECT status FROM deliveries ORDER BY row").fetchall()
    assert status == [("abandoned",), ("pending",)]
    assert now - began > KEEP_TRYING
    assert 70 <= attempts <= 90  # Retry-After cannot ask for more than an hour


# The commands


def test_a_secret_url_is_nowhere_shown_in_full(server: Server, port: int) -> None:
    monitor = server.monitor()
    secret = "T0123456/B0123456/aVerySecretToken9876"
    url = f"http://me:pass@127.0.0.1:{port}/services/{secret}?key=Hidden"
    added = server.command("channel", "add", monitor, url)
    _fail(server, monitor, "1")
    until(lambda: server.attempts(monitor), "it was tried")
    listed = server.command("channel", "list", monitor, "--json")
    assert json.loads(listed)[0]["target"] == server.channels(monitor)[0]["target"]
    tested = sandbox("channel", "test", added.split()[1], "--db", str(server.db))
    assert tested.returncode == 1
    for text in (added, server.command("channel", "list"), listed, tested.stderr):
        assert "…dden" in text
        for word in ("Secret", "T0123456", "me:", "pass", "key="):
            assert word not in text


def test_a_test_message_is_sent_at_once_and_recorded(server: Server) -> None:
    monitor = server.monitor()
    with receiving(accept, refuse(404, "no_service")) as receiver:
        channel = _channel(server, monitor, receiver.url)
        assert "delivered to webhook http://127.0.0.1" in server.command("channel", "test", channel)
        assert [body["type"] for body in receiver.bodies] == ["test"]
        refused = sandbox("channel", "test", channel, "--db", str(server.db))
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "HTTP 404: no_service" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert server.attempts(monitor) == [(200, None), (404, "HTTP 404: no_service")]
        (line,) = server.command("channel", "list", monitor).splitlines()
        assert line.split("\t")[:3] == [channel, monitor, "webhook"]
        assert line.split("\t")[-1] == "HTTP 404: no_service"
        _fail(server, monitor, "1")  # is not held up by the test that failed
        receiver.until_accepted(2)


@pytest.mark.parametrize(
    ("url", "args"),
    [
        *(("file:///etc/passwd", ()), ("ftp://example.com/", ()), ("javascript:alert(1)", ())),
        *(("https://", ()), ("http://[::1", ()), ("example.com/hook", ()), ("http://a b/", ())),
        *(("https://example.com/\n", ()), ("https://example.com:99999/", ()), ("", ())),
        *(("mailto:", ()), ("mailto:ops", ()), ("mailto:a@b.c,d@e.f", ()), ("mailto:a@b?cc=x", ())),
        *(("mailto:ops@example.com", ("--type", "slack")), ("https://a.b/", ("--type", "email"))),
        ("https://a.b/", ("--type", "pager")),
    ],
)
def test_only_web_and_mail_addresses_are_channels(
    server: Server, url: str, args: tuple[str, ...]
) -> None:
    monitor = server.monitor()
    done = sandbox("channel", "add", monitor, url, *args, "--db", str(server.db))
    assert done.returncode == 2, done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert server.channels(monitor) == []


def test_the_host_tells_the_kind_of_channel() -> None:
    for url, kind in (
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://discord.com/api/webhooks/1/x", "discord"),
        ("https://discord.com/other", "webhook"),
        ("https://hooks.slack.com.example.com/services/T/B/x", "webhook"),
        ("mailto:ops@example.com", "email"),
    ):
        assert parse_target(url).kind == kind


@given(st.text("abcXYZ09/?=&-_", min_size=1, max_size=80), st.sampled_from(["h", "ex.org:8080"]))
def test_of_a_secret_at_most_the_end_is_shown(secret: str, host: str) -> None:
    shown = shorten(f"http://user:pw@{host}/x{secret}")
    assert shown.startswith(f"http://{host}/…")
    assert len(shown) <= len(f"http://{host}/…") + min(4, (len(secret) + 1) // 4)


@pytest.mark.parametrize("command", ["remove", "test"])
def test_a_channel_that_does_not_exist_is_named(server: Server, command: str) -> None:
    done = sandbox("channel", command, "clnone", "--db", str(server.db))
    assert (done.returncode, done.stdout) == (1, "")
    assert "clnone" in done.stderr
    assert "sandbox channel list" in done.stderr


def test_a_channel_is_added_once(server: Server) -> None:
    monitor = server.monitor()
    _channel(server, monitor, "mailto:ops@example.com")
    done = sandbox("channel", "add", monitor, "mailto:ops@example.com", "--db", str(server.db))
    assert done.returncode == 1
    assert "already has the channel email ops@example.com" in done.stderr


def test_an_alert_and_its_deliveries_are_one_transaction(tmp_path: Path) -> None:
    with open_database(tmp_path / "sandbox.db", create=True) as connection:
        store = Store(connection)
        account = store.get_or_create_account("default")
        store.add_monitor(account, "a")
        add_channel(connection, account, "a", parse_target("http://127.0.0.1/"))
        with contextlib.suppress(KeyError), transaction(connection):
            record_ping(connection, account, Ping("a", "fail"), 10**12)
            raise KeyError
        assert take_due(connection, 2 * 10**12, 1, ())[0] == []
        record_ping(connection, account, Ping("a", "fail"), 10**12)
        assert len(take_due(connection, 2 * 10**12, 1, ())[0]) == 1
