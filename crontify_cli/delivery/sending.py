"""Sends one ping as the policy says: again and again until it is accepted, or time is up."""

import math
import time
from typing import Literal, NamedTuple, Protocol

from crontify_cli.delivery import policy
from crontify_cli.delivery.delays import plausible
from crontify_cli.delivery.journal_rows import ReportState, StartState
from crontify_cli.model import Answer, Ping

BEFORE_START = 5.0
"""Seconds for which old reports may delay a start while the server answers."""
SILENT_FOR = 300.0
"""Seconds after which a report without an answer is sent again even if the server does not answer
otherwise: something in front of it may let only reports through."""
NO_TIME = "no time was left for an attempt"


class Sender(Protocol):
    """Sends one ping: `delivery.api.Api`, or something like it."""

    def ping(self, ping: Ping, within: float = math.inf) -> Answer:
        """Make one attempt, of `within` seconds at most, and return what came of it."""

    def silence(self, monitor_id: str, within: float = math.inf) -> Answer | None:
        """Return None if the server answers requests, else what came of asking it.

        It is asked by a request about the monitor that changes nothing, unless it has answered
        the last one.
        """

    def fingerprint(self, monitor_id: str) -> str:
        """Return a hash of the settings that decide whether a ping is accepted."""


class Deadlines(NamedTuple):
    """Until when to try again, in seconds of `time.monotonic()`.

    until: in general. rate_limit_until: while the server asks us to wait. unsent_until: while
    the server cannot be reached. is_exit: this process exits then, so that no attempt may
    take longer.
    """

    until: float = math.inf
    rate_limit_until: float = math.inf
    unsent_until: float = math.inf
    is_exit: bool = False

    def left(self) -> policy.Remaining:
        """Return how many seconds are left until each."""
        now = time.monotonic()
        return policy.Remaining(*(moment - now for moment in self[:3]))

    @classmethod
    def after(cls, moment: float, report_timeout: float, rate_limit_wait: float) -> "Deadlines":
        """Return the deadlines for reports that we begin to deliver at `moment`."""
        unsent = moment + min(policy.UNSENT_PATIENCE, report_timeout)
        return cls(moment + report_timeout, moment + rate_limit_wait, unsent)


UNLIMITED = Deadlines()
"""While the job runs there is time."""


class SendResult(NamedTuple):
    """What became of a ping.

    message: one line for a person, empty if it was delivered as it is.
    blamed: the fingerprint of the settings that have to be corrected first, "" for none.
    again_in: seconds after which to try again; None if there is no time for that.
    unanswered_at: when it was last sent without getting an answer, so that it may have arrived,
    in seconds since the epoch; None for never.
    took: of a delivered one, when it was begun and answered, in seconds of `time.monotonic()`.
    """

    verdict: Literal["delivered", "refused", "dropped", "pending"]
    answer: Answer
    message: str = ""
    blamed: str = ""
    again_in: float | None = None
    unanswered_at: float | None = None
    took: tuple[float, float] | None = None

    @property
    def report_state(self) -> ReportState:
        """The state of a report after this."""
        return self.verdict if self.verdict in ("delivered", "refused") else "queued"

    @property
    def start_state(self) -> StartState:
        """The state of a start after this."""
        if self.verdict == "delivered":
            return "acknowledged"
        if self.verdict == "refused":
            return "refused"
        return "unknown" if self.answer.fate == "unknown" else "dropped"

    @property
    def concerns_monitor_only(self) -> bool:
        """Whether the failure says nothing about the server as a whole."""
        was_not_accepted = self.needs_a_person and self.answer.is_api
        is_busy = self.answer.status == 429 or self.is_trouble
        return self.verdict == "refused" or is_busy or was_not_accepted

    @property
    def was_begun(self) -> bool:
        """Whether there was time for an attempt."""
        return self.message != NO_TIME

    @property
    def is_trouble(self) -> bool:
        """Whether the server has answered that it failed."""
        return (self.answer.status or 0) >= 500

    @property
    def needs_a_person(self) -> bool:
        """Whether the server has answered something that waiting alone does not change."""
        is_odd = self.answer.fate == "unknown" and self.answer.status is not None
        return self.verdict == "refused" or is_odd


NOT_BEGUN = SendResult("pending", Answer("unsent", message=NO_TIME), NO_TIME)


class Waits(Protocol):
    """How to spend a pause."""

    def __call__(self, seconds: float, *, rate_limited: bool) -> bool:
        """Wait `seconds`; return False, at once, if there is no time or no wish for it."""


class Allowance:
    """The seconds that old reports may take from a server that answers.

    They begin with the first request that it answers. Nothing is begun that they do not
    suffice for, if it takes as long as the slowest answer so far.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = math.inf
        self._slowest = 0.0

    def note(self, began: float, answered: float) -> None:
        """Take note of a request; both are seconds of `time.monotonic()`."""
        self._until = min(self._until, began + self._seconds)
        self._slowest = max(self._slowest, answered - began)

    def has_time(self) -> bool:
        """Tell whether one more request can be answered in time."""
        return time.monotonic() + self._slowest <= self._until


class Delivery(NamedTuple):
    """Sends pings, again and again if need be.

    sender: makes one attempt. deadlines: until when. wait: spends the pauses.
    most: seconds that an attempt may take. least: seconds that must be left for it to be begun.
    allowance: what old reports may take, None for no limit.
    defers: whether to leave a pause that the server asks for to the caller, who has something
    else to do: `SendResult.again_in`. earlier: attempts that were made before.
    """

    sender: Sender
    deadlines: Deadlines
    wait: Waits
    most: float = math.inf
    least: float = 0.0
    allowance: Allowance | None = None
    defers: bool = False
    earlier: int = 0

    def has_time(self, *, rate_limited: bool = False) -> bool:
        """Tell whether an attempt may be begun; rate_limited: after a wait for a rate limit."""
        return self._left(rate_limited) > self.least

    def may_begin(self) -> bool:
        """Tell whether there is time to begin with one more report."""
        return self.has_time() and (self.allowance is None or self.allowance.has_time())

    def before_start(self) -> "Delivery":
        """Return the same for old reports before a start."""
        return self._replace(allowance=Allowance(BEFORE_START))

    def leaving(self, seconds: float) -> "Delivery":
        """Return the same for reports after which so many seconds are to be left."""
        allowance = Allowance(self.deadlines.left().report - seconds)
        return self._replace(least=seconds, allowance=allowance)

    def _left(self, rate_limited: bool) -> float:
        if not self.deadlines.is_exit:
            return math.inf
        left = self.deadlines.left()
        return max(left.report, left.rate_limit) if rate_limited else left.report

    def send(self, ping: Ping, *, unanswered_at: float | None = None) -> SendResult:
        """Send `ping` until the server accepts or refuses it, or until a deadline.

        unanswered_at: when it was last sent without getting an answer. For `SILENT_FOR` from then
        on, it is sent again only if the server answers another request: one that was frozen takes
        everything that was sent to it once it goes on.
        """
        attempts, shortened, rate_limited = 0, "", False
        result = NOT_BEGUN
        while True:
            if not self.has_time(rate_limited=rate_limited):
                return result
            began = time.monotonic()
            within = min(self.most, self._left(rate_limited))
            silence = None
            now = time.time()
            if unanswered_at and plausible(now - unanswered_at) is None:
                unanswered_at = now  # the clock was set, so nobody knows how long ago that was
            if unanswered_at and now - unanswered_at < SILENT_FOR:
                silence = self.sender.silence(ping.monitor_id, within)
            answer = silence
            if answer is None:
                within = min(self.most, self._left(rate_limited))
                answer = self.sender.ping(ping, within)
            attempts += 1
            if answer.fate == "unsent" and attempts > 1 and self._left(rate_limited) <= 0:
                return result  # why the one before failed says more than that time was up
            if answer.fate == "received":  # before anything that could fail: it must be known
                took = began, time.monotonic()
                return SendResult("delivered", answer, shortened, took=took)
            if self.allowance and answer.status:
                self.allowance.note(began, time.monotonic())
            if silence is None and answer.is_missing:
                unanswered_at = time.time()
            step = policy.decide(ping, self.earlier + attempts, answer, self.deadlines.left())
            message = f"{ping.kind} of {ping.monitor_id}: {step.message}"
            if ping.log_output and policy.is_about_log(answer):
                shortened = f"{message}; it was sent without the log, which is kept here"
                ping = ping._replace(log_output=None)
                continue
            blames = policy.blames_settings(answer)
            blamed = self.sender.fingerprint(ping.monitor_id) if blames else ""
            if step.verdict == "give_up":
                return SendResult("refused", answer, message, blamed)
            if step.verdict == "drop":
                return SendResult("dropped", answer, message, blamed)
            result = SendResult("pending", answer, message, blamed, unanswered_at=unanswered_at)
            if step.verdict == "retry" and self.defers and answer.status:
                return result._replace(again_in=step.pause)
            rate_limited = step.waits_for_rate_limit
            if step.verdict == "keep" or not self.wait(step.pause, rate_limited=rate_limited):
                return result
