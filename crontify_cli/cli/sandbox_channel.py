"""`crontify sandbox channel`: where the alerts of a monitor are sent."""

import asyncio
import socket
from functools import partial
from typing import Annotated

import typer

from crontify_cli.cli.arguments import parsed_by
from crontify_cli.cli.client import load_settings
from crontify_cli.cli.sandbox_open import (
    AccountName,
    AsJson,
    Db,
    MonitorId,
    OptionalMonitorId,
    existing,
    group,
)
from crontify_cli.errors import CrontifyError
from crontify_cli.sandbox.records import ChannelKind, SmtpServer
from crontify_cli.sandbox.targets import parse_target, shorten

channel_app = group(
    "Add, list, remove and test the channels to which alerts are sent.",
    "crontify sandbox channel add backup https://example.com/hook",
)
Url = Annotated[
    str,
    typer.Argument(metavar="URL", help="http:// or https:// URL, or mailto:ADDRESS."),
]
ChannelId = Annotated[
    str, typer.Argument(metavar="CHANNEL", help="Id of a channel, as channel list shows it.")
]


@channel_app.command(epilog="Example:  crontify sandbox channel add backup mailto:ops@example.com")
def add(
    monitor_id: MonitorId,
    url: Url,
    kind: Annotated[
        ChannelKind | None,
        typer.Option("--type", help="Format of the message.", show_default="that of the host"),
    ] = None,
    db: Db = None,
    account: AccountName = "default",
) -> None:
    """Send the alerts of a monitor to a webhook, to Slack or Discord, or by e-mail."""
    from crontify_cli.sandbox.channels import add_channel

    target = parsed_by(partial(parse_target, kind=kind))(url)
    with existing(db, account, monitor_id) as (store, owner):
        channel_id = add_channel(store.connection, owner, monitor_id, target)
    shown = f"{target.kind} {shorten(url)}"
    if channel_id is None:
        raise CrontifyError(f"monitor {monitor_id} already has the channel {shown}")
    print(f"channel {channel_id} added to monitor {monitor_id}: {shown}")


@channel_app.command("list", epilog="Example:  crontify sandbox channel list backup --json")
def list_channels(
    monitor_id: OptionalMonitorId = None,
    db: Db = None,
    account: AccountName = "default",
    as_json: AsJson = False,
) -> None:
    """List the channels with the result of the latest attempt to deliver an alert.

    In a pipe, prints tab-separated lines: channel, monitor, type, target, alerts that are
    not delivered yet, time of the latest attempt (UTC), its result.
    With --json all of the latest attempts are included.
    """
    from crontify_cli.cli.sandbox_lists import show_channels
    from crontify_cli.sandbox.channels import channels_of

    with existing(db, account, monitor_id) as (store, owner):
        found = channels_of(store.connection, owner, monitor_id)
    show_channels(found, as_json=as_json)


@channel_app.command(epilog="Example:  crontify sandbox channel remove clx8f3k2m0000abcd1234efgh5")
def remove(channel_id: ChannelId, db: Db = None, account: AccountName = "default") -> None:
    """Remove a channel; alerts that it has not received yet are not delivered any more."""
    from crontify_cli.sandbox.channels import remove_channel

    with existing(db, account) as (store, owner):
        if not remove_channel(store.connection, owner, channel_id):
            raise _unknown(channel_id)
    print(f"channel {channel_id} removed")


@channel_app.command(
    "test", epilog="Example:  crontify sandbox channel test clx8f3k2m0000abcd1234efgh5"
)
def send_test(channel_id: ChannelId, db: Db = None, account: AccountName = "default") -> None:
    """Send a test message now, and say whether it was accepted."""
    from crontify_cli.sandbox.channels import find_channel, record_test
    from crontify_cli.sandbox.identity import new_id, now
    from crontify_cli.sandbox.outbox import Message
    from crontify_cli.sandbox.post import send_once

    with existing(db, account) as (store, owner):
        channel = find_channel(store.connection, owner, channel_id)
        if not channel:
            raise _unknown(channel_id)
        at = now()
        words = "a test of this channel by crontify sandbox channel test"
        message = Message(new_id(at), "test", channel.monitor_id, None, words, None, at)
        result = asyncio.run(send_once(smtp_server(), channel.target, message))
        record_test(store.connection, channel, result)
    shown = f"{channel.target.kind} {shorten(channel.target.url)}"
    if result.error:
        raise CrontifyError(f"the test message was not delivered to {shown}: {result.error}")
    print(f"test message delivered to {shown}")


def smtp_server() -> SmtpServer | None:
    """Return the SMTP server of the settings, whose problems are printed on stderr."""
    settings = load_settings().settings
    if not settings.smtp_url:
        return None
    sender = settings.smtp_from or f"crontify@{socket.gethostname() or 'localhost'}"
    return SmtpServer(settings.smtp_url.reveal(), sender)


def _unknown(channel_id: str) -> CrontifyError:
    return CrontifyError(
        f"the sandbox has no channel {channel_id}; crontify sandbox channel list shows the ids"
    )
