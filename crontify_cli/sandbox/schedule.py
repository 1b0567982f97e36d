"""The schedules of monitors: cron expressions, and how long a monitor may be silent.

The server does not know when a job runs, only when it pings. So a schedule stands for the time
between two runs, which depends on the day: a job of Monday to Friday is silent at weekends,
and a day is 23 or 25 hours long when daylight saving time begins or ends.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from crontify_cli.sandbox.records import Millis

_EARLY = timedelta(seconds=60)
"""How far ahead of ours the clock of a job's machine may be. Otherwise a ping two seconds before
Friday's run would count as that of Thursday's, and the next one would be expected on Saturday."""
_MAX_LENGTH = 200
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class UnknownZoneError(ValueError):
    """This machine does not know a time zone, or no longer."""


def parse_schedule(text: str) -> str:
    """Return a cron expression with its five fields separated by single spaces.

    Raises ValueError, with a message for the user, if it is not one, or if it never matches.
    """
    from cronsim import CronSim, CronSimError

    text = " ".join(text.split())
    expression = _NICKNAMES.get(text, text)
    if len(expression.split()) != 5 or len(expression) > _MAX_LENGTH:
        raise ValueError(f"not a cron expression of five fields, such as '0 3 * * *': {text!r}")
    try:
        if next(CronSim(expression, datetime(2000, 1, 1)), None) is None:
            raise ValueError(f"this schedule never matches: {text!r}")
    except CronSimError as error:
        raise ValueError(f"not a cron expression: {text!r}: {str(error).lower()}") from None
    return text


def parse_timezone(name: str) -> str:
    """Return the name of a time zone of this machine; raises ValueError for any other."""
    _zone(name)
    return name


def _zone(name: str) -> tzinfo:
    # The default must also work on machines without a time zone database.
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # also for absolute paths and directories
        raise UnknownZoneError(f"not a time zone such as Europe/Berlin: {name!r}") from None


@lru_cache(maxsize=4096)
def period(schedule: str, timezone: str, at: Millis) -> Millis:
    """Return the time from the run that a ping `at` belongs to until the next one is due.

    Raises UnknownZoneError.
    """
    from cronsim import CronSim

    expression = _NICKNAMES.get(schedule, schedule)
    moment = datetime.fromtimestamp(at / 1000, _zone(timezone)) + _EARLY
    # One second more: CronSim returns only times before its start.
    due = next(CronSim(expression, moment + timedelta(seconds=1), reverse=True))
    for following in CronSim(expression, due):
        # Backwards, CronSim skips a run at an hour that comes twice.
        if following.timestamp() > moment.timestamp():
            break
        due = following
    return round((following.timestamp() - due.timestamp()) * 1000)
