"""Requests and answers as they are on the wire, in the words of the seed's examples."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, AllowInfNan, BaseModel, ConfigDict, Field, Strict
from pydantic.alias_generators import to_camel

from crontify_cli.model import Meta, Ping
from crontify_cli.sandbox.identity import timestamp
from crontify_cli.sandbox.records import (
    Alert,
    AlertKind,
    Monitor,
    Operator,
    Receipt,
    Run,
    RunStatus,
)
from crontify_cli.sandbox.rules import ERROR_UNITS, LOG_UNITS, cut, tidy, utf16_units

MAX_BODY = 1024 * 1024


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half a surrogate pair is no character") from None
    return text


def _short_enough(message: str) -> str:
    if (units := utf16_units(message)) > ERROR_UNITS:
        raise ValueError(f"must be at most {ERROR_UNITS} characters, not {units}")
    return message


_Number = Annotated[float, Strict(), AllowInfNan(False)]
_Text = Annotated[str, AfterValidator(_unicode)]
_Meta = dict[_Text, _Number]


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class SuccessBody(_Body):
    """The body of a success ping."""

    meta: _Meta | None = Field(default=None, examples=[{"rows_processed": 1523, "emails_sent": 48}])

    def ping(self, monitor_id: str) -> Ping:
        """Return what the body says of that monitor."""
        return Ping(monitor_id, "success", _tidy(self.meta))


class FailBody(_Body):
    """The body of a fail ping."""

    error_message: Annotated[_Text, AfterValidator(_short_enough)] | None = Field(
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
        """Return what the body says of that monitor, the log cut."""
        log = cut(self.log_output, LOG_UNITS) if self.log_output else None
        return Ping(monitor_id, "fail", _tidy(self.meta), self.error_message, log)


def _tidy(meta: Meta | None) -> Meta:
    return {name: tidy(number) for name, number in (meta or {}).items()}


# In the schema alone: what we write ourselves is not checked again with every ping.
_Id = Annotated[str, Field(json_schema_extra={"pattern": "^cl[a-z0-9]{23}$"})]
_Time = Annotated[
    str,
    Field(
        json_schema_extra={
            "format": "date-time",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        }
    ),
]


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class PingData(_Answer):
    """What became of a ping."""

    received: Literal[True] = True
    monitor_id: str
    run_id: _Id
    status: RunStatus
    timestamp: _Time = Field(description="When the ping arrived.")


class PingAnswer(_Answer):
    """The 200 of the three ping endpoints."""

    success: Literal[True] = True
    data: PingData


class LogAnswer(_Answer):
    """The 200 of the log endpoint: not wrapped in `data`."""

    has_log: bool
    content: str | None


class ErrorAnswer(_Answer):
    """Every answer that is not 200."""

    success: Literal[False] = False
    message: str = Field(description="What is wrong, and what to do.")


class RuleData(_Answer):
    """An alert rule: a success whose `field` stands so to `value` is a silent failure."""

    field: str
    operator: Operator
    value: int | float


class MonitorData(_Answer):
    """A monitor; `status` is its newest run's."""

    id: str
    created_at: _Time
    last_ping_at: _Time | None
    status: RunStatus | None
    rules: Sequence[RuleData]


class MonitorsAnswer(_Answer):
    """The account's monitors."""

    success: Literal[True] = True
    data: Sequence[MonitorData]


class MonitorAnswer(_Answer):
    """One monitor."""

    success: Literal[True] = True
    data: MonitorData


class RunData(_Answer):
    """A run, without its log. `startedAt` is null where no start came before the end."""

    id: _Id
    monitor_id: str
    status: RunStatus
    started_at: _Time | None
    finished_at: _Time | None
    duration_ms: int | None
    meta: dict[str, int | float] | None
    error_message: str | None
    has_log: bool


class RunsAnswer(_Answer):
    """Runs, the newest first; `nextCursor` asks for the older ones, null at the end."""

    success: Literal[True] = True
    data: Sequence[RunData]
    next_cursor: _Id | None


class AlertData(_Answer):
    """An alert, as `crontify sandbox alerts --json` prints it; the API has none."""

    id: _Id
    monitor_id: str
    run_id: _Id
    kind: AlertKind
    message: str
    log_head: str | None
    created_at: _Time


def ping_answer(monitor_id: str, receipt: Receipt, at: int) -> PingAnswer:
    """Return the answer to a ping that arrived `at`."""
    data = PingData(
        monitor_id=monitor_id,
        run_id=receipt.run_id,
        status=receipt.status,
        timestamp=timestamp(at),
    )
    return PingAnswer(data=data)


def monitor_data(monitor: Monitor) -> MonitorData:
    """Return the monitor as it is on the wire."""
    return MonitorData(
        id=monitor.id,
        created_at=timestamp(monitor.created_at),
        last_ping_at=_time(monitor.last_ping_at),
        status=monitor.last_status,
        rules=[
            RuleData(field=rule.field, operator=rule.operator, value=tidy(rule.value))
            for rule in monitor.rules
        ],
    )


def run_data(run: Run) -> RunData:
    """Return the run as it is on the wire."""
    return RunData(
        id=run.id,
        monitor_id=run.monitor_id,
        status=run.status,
        started_at=_time(run.started_at),
        finished_at=_time(run.finished_at),
        duration_ms=run.duration,
        meta=dict(run.meta) if run.meta else None,
        error_message=run.error_message,
        has_log=run.has_log,
    )


def alert_data(alert: Alert) -> AlertData:
    """Return the alert as it is printed for machines."""
    fields = alert._asdict() | {"created_at": timestamp(alert.created_at)}
    return AlertData(**fields)


def _time(at: int | None) -> str | None:
    return None if at is None else timestamp(at)
