"""Shows systemd's timers: when they elapse, and what the journal knows of their monitors."""

import contextlib
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.cli import output
from crontify_cli.cli.moments import ago, brief, local_short, utc
from crontify_cli.cli.past import Last, Past
from crontify_cli.cli.table import Column, draw_table, text
from crontify_cli.errors import CrontifyError
from crontify_cli.job.options import split
from crontify_cli.systemd import manager
from crontify_cli.systemd.manager import Timer
from crontify_cli.systemd.unitfile import assignments, commands
from crontify_cli.systemd.units import Units

if TYPE_CHECKING:
    from rich.text import Text


class Row(NamedTuple):
    """A timer, the monitor of its service, and that monitor's last run."""

    timer: Timer
    monitor: str | None
    last: Last | None


def show(names: Sequence[str], *, user: bool, as_json: bool) -> None:
    """Print the timers, of these names or services only; raises CrontifyError."""
    now = time.time()

    def draw(rows: Iterable[Row]) -> None:
        _draw(list(rows), now)

    output.show_list(_rows(names, user), _object, _fields, draw, as_json=as_json)


def _rows(names: Sequence[str], user: bool) -> Iterator[Row]:
    units, past = Units(user=user), Past()
    known = manager.timers(user=user)
    wanted = {name if "." in name else f"{name}.timer" for name in names}
    missing = wanted - {name for timer in known for name in (timer.name, timer.service)}
    if missing:
        raise CrontifyError(
            f"there is no timer {sorted(missing)[0]}; 'systemctl list-timers' lists them"
        )
    for timer in known:
        if not wanted or wanted & {timer.name, timer.service}:
            monitor = _monitor(units, timer.service)
            yield Row(timer, monitor, past.of(monitor) if monitor else None)


def _monitor(units: Units, service: str) -> str | None:
    """Return the monitor that the first command of a service reports to, None without one."""
    lines: list[str] = []
    with contextlib.suppress(CrontifyError, ValueError, OSError):
        found = units.service(service)
        lines = [value for value in found.values("ExecStart") if value]
        if found.own:
            with open(found.own, encoding="utf-8", errors="surrogateescape") as file:
                read = assignments(file.read())
                lines = [each.value for each in read if each.key == "ExecStart" and each.value]
        instance = service.partition("@")[2].rpartition(".")[0]
        for command in (each for value in lines for each in commands(value)):
            words = shlex.split(command.arguments)
            if "crontify" in command.program + command.arguments and "exec" in words:
                monitor = split(words[words.index("exec") + 1 :])[1][0]
                return monitor.replace("%i", instance)
    return None


def _object(row: Row) -> dict[str, object]:
    timer, last = row.timer, row.last
    return {
        "timer": timer.name,
        "next_run": None if timer.next_run is None else utc(timer.next_run),
        "service": timer.service,
        "monitor": row.monitor,
        "last_outcome": last.outcome if last else None,
        "last_run": utc(last.started_at) if last else None,
        "usual_duration": round(last.usual, 3) if last and last.usual is not None else None,
    }


def _fields(row: Row) -> tuple[object, ...]:
    found = _object(row)
    usual = found.pop("usual_duration")
    return (*found.values(), None if usual is None else f"{usual:.3f}")


def _draw(rows: Sequence[Row], now: float) -> None:
    if not rows:
        print("no timers")
        return
    columns: tuple[Column[Row], ...] = (
        Column("Timer", 0, lambda row: text(row.timer.name), least=16),
        Column("Next run", 2, lambda row: text(_moment(row.timer.next_run, now))),
        Column("Service", 4, lambda row: text((row.timer.service, "dim")), least=12),
        Column("Monitor", 1, lambda row: text(row.monitor or ""), least=12),
        Column("Last", 1, _outcome),
        Column("Age", 3, lambda row: text(ago(now - row.last.started_at) if row.last else "")),
        Column("Usual", 5, _usual, right=True),
    )
    console = output.console()
    with console.capture() as drawn:
        console.print(draw_table(rows, columns, console.width))
    output.page("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def _moment(moment: float | None, now: float) -> str:
    return "" if moment is None else local_short(moment, now)


def _outcome(row: Row) -> "Text":
    from crontify_cli.cli.runs_rows import COLOURS

    outcome = row.last.outcome if row.last else ""
    return text((outcome, COLOURS.get(outcome, "")))


def _usual(row: Row) -> "Text":
    return text(brief(row.last.usual) if row.last and row.last.usual is not None else "")
