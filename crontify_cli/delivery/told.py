"""What a run says about its pings and the journal: what a person has to correct, and once."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from crontify_cli.delivery.journal import JournalError
    from crontify_cli.delivery.sending import SendResult
    from crontify_cli.model import Answer

NO_KEY = (
    "no API key, so nothing is reported:"
    " set api_key_file in the config, or CRONTIFY_API_KEY_FILE ('crontify init' asks for it)"
)


class Notices(Protocol):
    """Where lines for a person go; `trace` is for those that only `--verbose` shows."""

    def say(self, line: str) -> None: ...
    def trace(self, line: str) -> None: ...


class Told:
    """Says the lines of one run, and remembers them."""

    def __init__(self, notices: Notices) -> None:
        self.notices = notices
        self._answers: list[Answer] = []

    def sent(self, what: str, sent: "SendResult", doubt: str = "") -> None:
        """Say what became of a ping, if a person has to know; the same answer only once.

        doubt: a line to say before it.
        """
        if sent.needs_a_person:
            if sent.answer not in self._answers:
                if doubt:
                    self.notices.say(doubt)
                self.notices.say(sent.message)
            self._answers.append(sent.answer)
        elif sent.verdict != "delivered":
            self.notices.trace(f"{what}: not delivered: {sent.message}")
        elif sent.message:
            self.notices.say(sent.message)
        else:
            run = f" (run {sent.answer.run_id})" if sent.answer.run_id else ""
            self.notices.trace(f"{what}: received{run}")

    def journal(self, error: "JournalError") -> None:
        """Say what went wrong with the journal: always if its file was set aside."""
        if error.notice:
            self.notices.say(error.notice)
        else:
            self.notices.trace(str(error))


def error_words(error: Exception) -> str:
    """Keep the traceback of an internal error in a file; return what to say of it, on one line."""
    try:
        from crontify_cli.crash import keep
        from crontify_cli.report.secrets import full_mask
    except Exception:  # no memory, say; the error's own words may hold a secret
        return type(error).__name__
    return keep(error, "exec", full_mask)
