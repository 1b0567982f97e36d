"""The bodies of requests and answers, with the field names of the API documentation."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    computed_field,
)
from pydantic.alias_generators import to_camel

from crontify_cli.model import Meta, Ping
from crontify_cli.sandbox import records
from crontify_cli.sandbox.identity import timestamp
from crontify_cli.sandbox.rules import ERROR_UNITS, LOG_UNITS, simplify, truncate, utf16_units

MAX_BODY = 1024 * 1024


def _is_unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("contains half of a surrogate pair") from None
    return text


def _is_short(message: str) -> str:
    if (units := utf16_units(message)) > ERROR_UNITS:
        raise ValueError(f"must be at most {ERROR_UNITS} characters, not {units}")
    return message


_Number = Annotated[float, Strict(), AllowInfNan(False)]
_Text = Annotated[str, AfterValidator(_is_unicode)]
_Meta = dict[_Text, _Number]


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class SuccessBody(_Body):
    """The body of a success ping."""

    meta: _Meta | None = Field(default=None, examples=[{"rows_processed": 1523, "emails_sent": 48}])

    def ping(self, monitor_id: str) -> Ping:
        """Return the ping for that monitor."""
        return Ping(monitor_id, "success", _simplify(self.meta))


class FailBody(_Body):
    """The body of a fail ping."""

    error_message: Annotated[_Text, AfterValidator(_is_short)] | None = Field(
        default=None,
        description="At most 500 characters, counted as UTF-16 code units.",
        json_schema_extra={"anyOf": [{"type": "string", "maxLength": 500}, {"type": "null"}]},
        examples=["Database connection timeout after 30s"],
    )
    meta: _Meta | None = Field(default=None, examples=[{"exit_code": 1}])
    log_output: _Text | None = Field(
        default=None,
        description="The first 10,000 characters are kept, counted as UTF-16 code units.",
        examples=["Traceback (most recent call last):\n ..."],
    )

    def ping(self, monitor_id: str) -> Ping:
        """Return the ping for that monitor, with the log truncated."""
        log = truncate(self.log_output, LOG_UNITS) if self.log_output else None
        return Ping(monitor_id, "fail", _simplify(self.meta), self.error_message, log)


def _simplify(meta: Meta | None) -> Meta:
    return {name: simplify(number) for name, number in (meta or {}).items()}


# Patterns are for the schema only: our own answers need no validation.
_Id = Annotated[str, Field(json_schema_extra={"pattern": "^cl[a-z0-9]{23}$"})]
_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
_Time = Annotated[
    records.Millis,
    PlainSerializer(timestamp, return_type=str),
    Field(json_schema_extra={"format": "date-time", "pattern": _TIME}),
]


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class _Success(_Answer):
    success: Literal[True] = True


class PingData(_Answer):
    """The result of a ping."""

    received: Literal[True] = True
    monitor_id: str
    run_id: _Id
    status: records.RunStatus
    timestamp: _Time = Field(description="When the ping arrived.")


class PingAnswer(_Success):
    """The 200 answer of the three ping endpoints."""

    data: PingData


class LogAnswer(_Answer):
    """The 200 answer of the log endpoint, which is not wrapped in `data`."""

    has_log: bool
    content: str | None


class ErrorAnswer(_Answer):
    """Every answer with a status other than 200."""

    success: Literal[False] = False
    message: str = Field(description="What is wrong, and what to do.")


class RuleData(_Answer):
    """A success is a silent failure if its meta's `field` compares to `value` by `operator`."""

    field: str
    operator: records.Operator
    value: int | float


def rule_data(rule: records.Rule) -> RuleData:
    """Return the rule as the API shows it."""
    field, operator, value = rule
    return RuleData(field=field, operator=operator, value=simplify(value))


class RunSummary(_Answer):
    """How a run went. `startedAt` is null if no start preceded the end."""

    id: _Id
    status: records.RunStatus
    started_at: _Time | None
    finished_at: _Time | None
    is_duration_anomaly: bool = Field(
        description="Whether this success took far longer than the monitor's earlier ones."
    )

    @computed_field  # type: ignore[prop-decorator]  # mypy does not know decorated properties
    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from start to end; null if either is unknown."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0, self.finished_at - self.started_at)


class Run(RunSummary):
    """A run without its log."""

    row: int = Field(exclude=True)
    monitor_id: str
    meta: dict[str, int | float] | None
    error_message: str | None
    has_log: bool


class Monitor(_Answer):
    """A monitor; `status` is the status of its newest run."""

    id: str
    created_at: _Time
    last_ping_at: _Time | None
    state: records.MonitorState = Field(
        description="waiting: never pinged. failing: the newest run that ended, or should have,"
        " is failed, missed or hung. paused: pings are recorded, but there are no alerts."
    )
    status: records.RunStatus | None
    schedule: str | None = Field(description="A cron expression, evaluated in `timezone`.")
    timezone: str
    grace_ms: int = Field(
        description="How late a ping may be, in milliseconds. A run is hung after twice as long."
    )
    tags: Sequence[str]
    rules: Sequence[RuleData]
    last_runs: Sequence[RunSummary] = Field(description="At most 30, newest first.")


class MonitorsAnswer(_Success):
    """The account's monitors."""

    data: Sequence[Monitor]


class MonitorAnswer(_Success):
    """One monitor."""

    data: Monitor


class RunsAnswer(_Success):
    """Runs, newest first; pass `nextCursor` to get older ones. It is null on the last page."""

    data: Sequence[Run]
    next_cursor: _Id | None


class Alert(_Answer):
    """An alert, with the beginning of the run's log."""

    id: _Id
    monitor_id: str
    run_id: _Id
    kind: records.AlertKind
    message: str
    log_head: str | None
    created_at: _Time


class AlertsAnswer(_Success):
    """Alerts, newest first; pass `nextCursor` to get older ones. It is null on the last page."""

    data: Sequence[Alert]
    next_cursor: _Id | None


class RunDetail(Run):
    """A run with its log and its alerts."""

    log: str | None
    alerts: Sequence[Alert]


class RunAnswer(_Success):
    """One run."""

    data: RunDetail


class Attempt(_Answer):
    """An attempt to deliver an alert."""

    at: _Time
    duration_ms: int
    http_status: int | None = Field(description="Null if there was no answer, and for e-mail.")
    error: str | None = Field(description="Null if the alert was delivered.")


class Delivery(_Answer):
    """The delivery of one alert to one channel."""

    alert_id: _Id | None = Field(description="Null for a message of channel test.")
    kind: records.AlertKind | None
    status: records.DeliveryStatus = Field(
        description="pending: attempts continue. abandoned: given up after three days."
    )
    created_at: _Time
    next_attempt_at: _Time | None
    attempts: Sequence[Attempt] = Field(description="At most 10, newest first.")


class Channel(_Answer):
    """Where the alerts of a monitor are sent, without the secret part of a URL."""

    id: _Id
    monitor_id: str
    kind: records.ChannelKind
    target: str = Field(description="The URL or e-mail address, shortened if it is a secret.")
    created_at: _Time
    pending: int = Field(description="The number of alerts that are not delivered yet.")
    deliveries: Sequence[Delivery] = Field(description="At most 10, newest first.")


class ChannelsAnswer(_Success):
    """The channels of the account or of one monitor."""

    data: Sequence[Channel]


def ping_answer(monitor_id: str, result: records.PingResult, at: int) -> PingAnswer:
    """Return the answer to a ping that arrived `at`."""
    run_id, status, _ = result
    data = PingData(monitor_id=monitor_id, run_id=run_id, status=status, timestamp=at)
    return PingAnswer(data=data)
