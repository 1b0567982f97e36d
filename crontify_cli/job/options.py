"""The options of `exec`: one table, read by the fast scanner here and by Typer.

Before the spawn a scanner of a few dozen lines reads the command line. What it
does not fully understand (`--help`, an unknown flag, a bad value, no command)
it hands to Typer, which is built from the same table and knows how to help.
"""

from crontify_cli.values import (
    parse_codes,
    parse_count,
    parse_duration,
    parse_meta,
    parse_meta_regex,
    parse_monitor,
    parse_regex,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crontify_cli.values import Codes


class ExecOptions:
    """One `exec`, as its command line has it; None or empty where nothing was said.

    What is None may come from the monitor's section of the config, which is read
    after the spawn; durations are seconds.
    """

    __slots__ = (
        "api_key_file",
        "base_url",
        "command",
        "config",
        "kill_after",
        "meta",
        "meta_regex",
        "min_duration",
        "monitor",
        "no_log",
        "no_start",
        "output",
        "overlap",
        "quiet",
        "redact",
        "shell",
        "success_codes",
        "timeout",
        "tolerate",
        "verbose",
    )

    def __init__(self, monitor: str, command: "list[str]") -> None:
        self.monitor = monitor
        self.command = command
        self.timeout: float | None = None
        self.kill_after: float | None = None
        self.overlap: str = "allow"
        self.shell = False
        self.success_codes: Codes | None = None
        self.min_duration: float | None = None
        self.tolerate: int | None = None
        self.output: str | None = None
        self.quiet = False
        self.meta: list[tuple[str, int | float]] = []
        self.meta_regex: list[str] = []
        self.redact: list[str] = []
        self.no_start: bool | None = None
        self.no_log: bool | None = None
        self.config: str | None = None
        self.base_url: str | None = None
        self.api_key_file: str | None = None
        self.verbose = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecOptions) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]  # mutable, so not a key


class Option:
    """A row of the table.

    name: the attribute of ExecOptions that it fills.
    flags: as typed, the short one first.
    convert: text to value, raising ValueError; None for a flag without a value.
    repeat: each use adds a value instead of replacing the last.
    default: what holds if neither a flag nor the config says otherwise, as shown in the help.
    panel: the heading it stands under in the help.
    """

    __slots__ = (
        "choices",
        "convert",
        "default",
        "flags",
        "help",
        "metavar",
        "name",
        "panel",
        "repeat",
    )

    def __init__(
        self,
        flags: "tuple[str, ...]",
        help: str,  # noqa: A002 - the field's word
        *,
        convert: "Callable[[str], object] | None" = None,
        metavar: str = "",
        default: str = "",
        repeat: bool = False,
        choices: "tuple[str, ...]" = (),
        panel: str = "The job",
    ) -> None:
        self.name = flags[-1].lstrip("-").replace("-", "_")
        self.flags = flags
        self.help = help
        self.convert = convert
        self.metavar = metavar
        self.default = default
        self.repeat = repeat
        self.choices = choices
        self.panel = panel


def _choice(*choices: str) -> "Callable[[str], str]":
    def convert(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return convert


OVERLAP = ("allow", "skip", "wait")
OUTPUT = ("all", "on-failure", "none")
_OUTCOME, _REPORT, _SETTINGS = "What counts as a failure", "The report", "Settings"

OPTIONS = (
    Option(
        ("--timeout",),
        "Stop the job after this time; exit 124.",
        convert=parse_duration,
        metavar="DURATION",
        default="none",
    ),
    Option(
        ("--kill-after",),
        "Time between the TERM and the KILL of the timeout.",
        convert=parse_duration,
        metavar="DURATION",
        default="10s",
    ),
    Option(
        ("--overlap",),
        "If another run of the monitor is still active: start anyway, skip (exit 75), or wait.",
        convert=_choice(*OVERLAP),
        metavar="|".join(OVERLAP),
        choices=OVERLAP,
        default="allow",
    ),
    Option(("--shell",), "Run COMMAND, one string, with $SHELL or /bin/sh."),
    Option(
        ("--output",),
        "When to print the job's output.",
        convert=_choice(*OUTPUT),
        metavar="|".join(OUTPUT),
        choices=OUTPUT,
        default="all",
    ),
    Option(("-q", "--quiet"), "Same as --output none."),
    Option(
        ("--success-codes",),
        "Exit codes that mean success, as 0,20-25.",
        convert=parse_codes,
        metavar="CODES",
        default="0",
        panel=_OUTCOME,
    ),
    Option(
        ("--min-duration",),
        "Treat the run as failed if it ends sooner.",
        convert=parse_duration,
        metavar="DURATION",
        default="none",
        panel=_OUTCOME,
    ),
    Option(
        ("--tolerate",),
        "Report up to N failures in a row as successes, with tolerated_failures in the meta.",
        convert=parse_count,
        metavar="N",
        default="0",
        panel=_OUTCOME,
    ),
    Option(
        ("--meta",),
        "Number to report with the run; may be repeated.",
        convert=parse_meta,
        metavar="KEY=NUMBER",
        repeat=True,
        panel=_REPORT,
    ),
    Option(
        ("--meta-regex",),
        "Report numbers found in the output by named groups: 'copied (?P<files>\\d+)'. The last"
        " match wins; may be repeated.",
        convert=parse_meta_regex,
        metavar="REGEX",
        repeat=True,
        panel=_REPORT,
    ),
    Option(
        ("--redact",),
        "Mask matching text in both logs; may be repeated.",
        convert=parse_regex,
        metavar="REGEX",
        repeat=True,
        panel=_REPORT,
    ),
    Option(("--no-start",), "Report only the end of the job, not its start.", panel=_REPORT),
    Option(("--no-log",), "Do not send the log of a failure.", panel=_REPORT),
    Option(
        ("--config",),
        "Read this config file.",
        convert=str,
        metavar="FILE",
        default="the user's, then the system's",
        panel=_SETTINGS,
    ),
    Option(
        ("--base-url",),
        "Base URL of the API.",
        convert=str,
        metavar="URL",
        default="https://api.crontify.com/api/v1",
        panel=_SETTINGS,
    ),
    Option(
        ("--api-key-file",),
        "File whose first line is the API key.",
        convert=str,
        metavar="FILE",
        panel=_SETTINGS,
    ),
    Option(
        ("-v", "--verbose"),
        "Show on stderr what is sent and what the server answers.",
        panel=_SETTINGS,
    ),
)

BY_FLAG = {flag: option for option in OPTIONS for flag in option.flags}


def split(args: "Sequence[str]") -> "tuple[list[str], list[str]]":
    """Return the words that are ours, and MONITOR with the COMMAND.

    Options may stand before or after MONITOR; `--`, or the first other word after
    MONITOR, begins the command. A word that looks like an option but is none of the
    table's counts as ours, so that whoever parses it can name it.
    """
    ours: list[str] = []
    at, monitor = 0, []  # type: int, list[str]
    while at < len(args):
        word = args[at]
        if word == "--":
            at += 1
            if not monitor and at < len(args):
                monitor = [args[at]]
                at += 1
                if args[at : at + 1] == ["--"]:
                    at += 1
            break
        if word[:1] != "-" or word == "-":
            if monitor:
                break
            monitor = [word]
            at += 1
            continue
        option = BY_FLAG.get(word)
        width = 2 if option and option.convert else 1
        ours += args[at : at + width] if option else _ungrouped(word)
        at += width
    return ours, [*monitor, *args[at:]]


def _ungrouped(word: str) -> "list[str]":
    """Return the flags that a group of short ones stands for: -qv is -q -v."""
    flags = ["-" + letter for letter in word[1:]]
    grouped = all(flag in BY_FLAG and not BY_FLAG[flag].convert for flag in flags)
    return flags if grouped else [word]


def scan(args: "Sequence[str]") -> ExecOptions | None:
    """Return what the words after `exec` say, None if that is for Typer to explain."""
    ours, rest = split(args)
    if len(rest) < 2:
        return None
    options = ExecOptions(rest[0], rest[1:])
    try:
        parse_monitor(options.monitor)
        at = 0
        while at < len(ours):
            flag, equals, text = ours[at].partition("=")
            at += 1
            option = BY_FLAG.get(flag)
            if not option or (equals and (not option.convert or flag[:2] != "--")):
                return None
            if not option.convert:
                setattr(options, option.name, True)
                continue
            if not equals:
                text = ours[at]
                at += 1
            fill(options, option, option.convert(text))
    except (ValueError, IndexError):
        return None
    return options if finish(options) is None else None


def fill(options: ExecOptions, option: Option, value: object) -> None:
    """Put one value where it belongs: beside the earlier ones if the option repeats."""
    if option.repeat:
        getattr(options, option.name).append(value)
    else:
        setattr(options, option.name, value)


def finish(options: ExecOptions) -> str | None:
    """Settle what concerns several options; return what is wrong with them, None if nothing."""
    if options.quiet:
        options.output = "none"
    if options.shell and len(options.command) > 1:
        return "with --shell the command is one string: put it in quotes"
    return None
