"""The options of `exec`: one table, read by the fast scanner here and by Typer.

Before the spawn a scanner of a few dozen lines reads the command line. What it
does not fully understand (`--help`, an unknown flag, a bad value, no command)
it hands to Typer, which is built from the same table and knows how to help.
"""

from crontify_cli.values import (
    OUTPUT,
    OVERLAP,
    START,
    one_of,
    parse_argv0,
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

    Each option of the table sets the attribute of its name. What is None may come from the
    monitor's section of the config, which is read after the spawn; durations are seconds.
    """

    timeout: float | None = None
    kill_after: float | None = None
    overlap: str | None = None
    jitter: float | None = None
    jitter_fixed = False
    shell = False
    argv0: str | None = None
    output: str | None = None
    quiet = False
    success_codes: "Codes | None" = None
    min_duration: float | None = None
    tolerate: int | None = None
    start: str | None = None
    no_start = False
    no_log: bool | None = None
    config: str | None = None
    base_url: str | None = None
    api_key_file: str | None = None
    verbose = 0
    dry_run = False

    def __init__(self, monitor: str, command: "list[str]") -> None:
        self.monitor = monitor
        self.command = command
        self.meta: list[tuple[str, int | float]] = []
        self.meta_regex: list[str] = []
        self.redact: list[str] = []


_PARSERS: "dict[str, Callable[[str], object]]" = {
    "CODES": parse_codes,
    "DURATION": parse_duration,
    "FILE": str,
    "NAME": parse_argv0,
    "KEY=NUMBER": parse_meta,
    "N": parse_count,
    "REGEX": parse_regex,
    "URL": str,
}


class Option:
    """A row of the table.

    usage: the flags as typed, the short one first, and the value, as in `-o --option VALUE`;
        with ` ...` each use adds a value instead of replacing the last, or 1 if there is none.
    default: what holds if neither a flag nor the config says otherwise, as shown in the help.
    convert: text to value, raising ValueError; None for a flag without a value. Unless it is
        given, it follows from the name of the value; `one|other` accepts only these words.
    """

    def __init__(
        self,
        usage: str,
        help: str,  # noqa: A002 - the field's word
        default: str = "",
        convert: "Callable[[str], object] | None" = None,
    ) -> None:
        words = usage.removesuffix(" ...").split()
        self.flags = tuple(word for word in words if word[0] == "-")
        self.metavar = "".join(words[len(self.flags) :])
        self.repeat = usage.endswith(" ...") and bool(self.metavar)
        self.counts = usage.endswith(" ...") and not self.metavar
        self.name = self.flags[-1].lstrip("-").replace("-", "_")
        self.choices = tuple(self.metavar.split("|")) if "|" in self.metavar else ()
        self.help = help
        by_name = one_of(*self.choices) if self.choices else _PARSERS.get(self.metavar)
        self.convert = convert or by_name
        self.default = default


PANELS = {
    "The job": (
        Option("--timeout DURATION", "Stop the job after this time; exit 124.", "none"),
        Option(
            "--kill-after DURATION", "Time between the TERM and the KILL of the timeout.", "10s"
        ),
        Option(
            "--overlap " + "|".join(OVERLAP),
            "If another run of the monitor is still active: start anyway, skip (exit 75), or wait.",
            "allow",
        ),
        Option("--jitter DURATION", "Wait a random time, at most this, before the job.", "none"),
        Option("--jitter-fixed", "Wait the same time before each run of the monitor on this host."),
        Option("--shell", "Run COMMAND, one string, with $SHELL or /bin/sh."),
        Option("--argv0 NAME", "What the job finds as its own name, argv[0].", "COMMAND"),
        Option("--output " + "|".join(OUTPUT), "When to print the job's output.", "all"),
        Option("-q --quiet", "Same as --output none."),
    ),
    "What counts as a failure": (
        Option("--success-codes CODES", "Exit codes that mean success, as 0,20-25.", "0"),
        Option("--min-duration DURATION", "Treat the run as failed if it ends sooner.", "none"),
        Option(
            "--tolerate N",
            "Report up to N failures in a row as successes, with tolerated_failures in the meta.",
            "0",
        ),
    ),
    "The report": (
        Option("--meta KEY=NUMBER ...", "Number to report with the run; may be repeated."),
        Option(
            "--meta-regex REGEX ...",
            "Report numbers found in the output by named groups: 'copied (?P<files>\\d+)'. The last"
            " match wins; may be repeated.",
            convert=parse_meta_regex,
        ),
        Option("--redact REGEX ...", "Mask matching text in both logs; may be repeated."),
        Option("--start " + "|".join(START), "When to report the start of the job.", "auto"),
        Option("--no-start", "Same as --start never."),
        Option("--no-log", "Do not send the log of a failure."),
    ),
    "Settings": (
        Option("--config FILE", "Read this config file.", "the user's, then the system's"),
        Option("--base-url URL", "Base URL of the API.", "https://api.crontify.com/api/v1"),
        Option("--api-key-file FILE", "File whose first line is the API key."),
        Option(
            "-v --verbose ...",
            "Show on stderr what is sent and answered; twice, also when each step was reached.",
        ),
        Option("--dry-run", "Print the settings and the command; run and send nothing."),
    ),
}
"""The options by the heading that they stand under in the help."""

OPTIONS = tuple(option for options in PANELS.values() for option in options)
BY_FLAG = {flag: option for option in OPTIONS for flag in option.flags}


def split(args: "Sequence[str]") -> "tuple[list[str], list[str]]":
    """Return the words that are ours, and MONITOR with the COMMAND.

    Options may stand before or after MONITOR; `--`, or the first other word after
    MONITOR, begins the command. A word that looks like an option but is none of the
    table's counts as ours, so that whoever parses it can name it. A `--` with no MONITOR
    before it means that MONITOR was forgotten: the first word of the command is not taken
    for it, and nothing is returned.
    """
    ours: list[str] = []
    monitor: list[str] = []
    rest = list(args)
    while rest and rest[0] != "--":
        word = rest[0]
        if word[:1] != "-" or word == "-":
            if monitor:
                return ours, monitor + rest
            monitor = [rest.pop(0)]
            continue
        option = BY_FLAG.get(word)
        width = 2 if option and option.convert else 1
        ours += rest[:width] if option else _ungrouped(word)
        del rest[:width]
    return ours, monitor + rest[1:] if monitor else []


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
        words = iter(ours)
        last: dict[Option, str] = {}  # given twice, the last one counts, and only that is read
        for word in words:
            flag, equals, text = word.partition("=")
            option = BY_FLAG.get(flag)
            if not option or (equals and (not option.convert or flag[:2] != "--")):
                return None
            if not option.convert:
                fill(options, option, True)
                continue
            value = text if equals else next(words)
            if option.repeat:
                fill(options, option, option.convert(value))
            else:
                last[option] = value
        for option, value in last.items():
            if option.convert:
                fill(options, option, option.convert(value))
    except (ValueError, StopIteration):
        return None
    return options if finish(options) is None and not options.dry_run else None


def fill(options: ExecOptions, option: Option, value: object) -> None:
    """Put one value where it belongs: with the earlier ones if the option repeats."""
    if option.repeat:
        getattr(options, option.name).append(value)
    elif option.counts:
        assert isinstance(value, int)
        setattr(options, option.name, getattr(options, option.name) + value)
    else:
        setattr(options, option.name, value)


def finish(options: ExecOptions) -> str | None:
    """Settle what concerns several options; return what is wrong with them, None if nothing."""
    if options.quiet:
        options.output = "none"
    if options.no_start:
        if options.start not in (None, "never"):
            return "--no-start means --start never: give only one of them"
        options.start = "never"
    if options.jitter_fixed and options.jitter is None:
        return "--jitter-fixed needs --jitter"
    if options.shell and len(options.command) > 1:
        return "with --shell the command is one string: put it in quotes"
    return None
