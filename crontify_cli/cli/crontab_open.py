"""Reads the crontabs that a command line names."""

from typing import NamedTuple

from crontify_cli.crontab import place
from crontify_cli.crontab.lines import Line, read
from crontify_cli.crontab.place import Place
from crontify_cli.crontab.schedule import Dialect
from crontify_cli.errors import CrontifyError, ExitCode


class Opened(NamedTuple):
    """A crontab that was read."""

    place: Place
    dialect: Dialect
    data: bytes
    lines: list[Line]

    def reread(self, data: bytes) -> list[Line]:
        """Return the lines of other bytes, read by the same rules."""
        return _lines(self.place, self.dialect, data)


def open_crontabs(
    files: list[str] | None, user: str | None, system: bool, cron: str | None
) -> list[Opened]:
    """Read the crontabs that a command line names; raises CrontifyError."""
    if user is not None and (files or system):
        raise CrontifyError("--user goes with neither FILE nor --system", ExitCode.USAGE)
    if user == "":  # such as an empty variable: not the crontab of the caller
        raise CrontifyError("--user needs the name of a user", ExitCode.USAGE)
    dialect: Dialect = cron or place.find_dialect()  # type: ignore[assignment]  # _dialect has seen it
    if files:
        places = [Place(file, None, system) for file in files]
    elif system:
        places = place.system_places()
    else:
        places = [Place(None, user)]
    found = []
    for each in places:
        data = place.read(each)
        found.append(Opened(each, dialect, data, _lines(each, dialect, data)))
    return found


def _lines(where: Place, dialect: Dialect, data: bytes) -> list[Line]:
    return read(data, dialect, system=where.system, is_user=place.is_user)
