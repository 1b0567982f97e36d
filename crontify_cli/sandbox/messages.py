"""The text of an alert for each kind of channel."""

import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from crontify_cli.errors import one_line
from crontify_cli.sandbox.identity import timestamp
from crontify_cli.sandbox.outbox import Message
from crontify_cli.sandbox.records import ChannelKind
from crontify_cli.sandbox.rules import truncate

SNIPPET_UNITS = 500
_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")
_BODY_OF_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def to_json(kind: ChannelKind, message: Message) -> dict[str, object]:
    """Return the JSON body for a webhook, Slack or Discord.

    Slack: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    Discord: https://docs.discord.com/developers/resources/webhook#execute-webhook
    """
    if kind == "slack":
        return {"text": _chat_text(message).translate(_BODY_OF_SLACK)}
    if kind == "discord":
        # Without this, @everyone in a log would notify everyone.
        return {"content": _chat_text(message), "allowed_mentions": {"parse": []}}
    return {
        "id": message.id,
        "type": message.kind,
        "monitor": message.monitor_id,
        "runId": message.run_id,
        "message": message.message,
        "logSnippet": _snippet(message),
        "createdAt": timestamp(message.created_at),
    }


def to_email(message: Message, sender: str, recipient: str) -> EmailMessage:
    """Return the e-mail. Its Message-ID is the same if it is sent again."""
    mail = EmailMessage()
    mail["Subject"] = f"crontify: {message.monitor_id}: {message.kind}"
    mail["From"] = sender
    mail["To"] = recipient
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.created_at / 1000, UTC))
    mail["Message-ID"] = f"<{message.id}@crontify-sandbox>"
    mail["Auto-Submitted"] = "auto-generated"
    lines = [
        one_line(message.message),
        "",
        f"Monitor: {message.monitor_id}",
        *([f"Run: {message.run_id}"] if message.run_id else []),
        f"Time: {timestamp(message.created_at)}",
    ]
    if snippet := _printable(_snippet(message) or ""):
        lines += ["", "The log begins with:", "", snippet]
    mail.set_content("\n".join(lines) + "\n")
    return mail


def _chat_text(message: Message) -> str:
    text = f"{message.monitor_id}: {message.kind}: {one_line(message.message)}"
    if snippet := _printable(_snippet(message) or ""):
        # Three backticks in the log would end the block.
        text += "\n```\n" + snippet.replace("```", "'''") + "\n```"
    return text


def _snippet(message: Message) -> str | None:
    return truncate(message.log_head, SNIPPET_UNITS) if message.log_head else None


def _printable(text: str) -> str:
    """Return the text without escape sequences and other control characters."""
    text = _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n"))
    return "".join(char for char in text if char.isprintable() or char in "\n\t").strip("\n")
