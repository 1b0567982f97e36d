"""The settings: one row a key. Loading, checking, showing and the manual are derived from it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from crontify_cli.config import kinds
from crontify_cli.config.kinds import Kind
from crontify_cli.errors import CrontifyError, ExitCode
from crontify_cli.values import parse_monitor


class Key(NamedTuple):
    """A row of the table.

    scope: where in the file it may stand: "top"; "monitor" for [monitors.NAME] alone;
        "both" for a monitor's setting that at the top holds for every monitor.
    env: the environment variable, "" for none.
    default: the typed value that holds where nothing is said, None for none.
    secret: whether it is masked when shown, and never taken from the command line.
    """

    name: str
    kind: Kind
    help: str
    scope: Literal["top", "monitor", "both"] = "top"
    env: str = ""
    default: object = None
    secret: bool = False


KEYS = (
    Key("api_key", kinds.SECRET, "The API key.", env="CRONTIFY_API_KEY", secret=True),
    Key(
        "api_key_file",
        kinds.PATH,
        "The file whose first line is the API key.",
        env="CRONTIFY_API_KEY_FILE",
    ),
    Key(
        "api_key_command",
        kinds.COMMAND,
        "The command whose first line of output is the API key; run without a shell.",
    ),
    Key(
        "token",
        kinds.SECRET,
        "The user token (a JWT), to read logs with.",
        env="CRONTIFY_TOKEN",
        secret=True,
    ),
    Key(
        "token_file",
        kinds.PATH,
        "The file whose first line is the user token.",
        env="CRONTIFY_TOKEN_FILE",
    ),
    Key(
        "token_command",
        kinds.COMMAND,
        "The command whose first line of output is the user token; run without a shell.",
    ),
    Key(
        "base_url",
        kinds.BASE_URL,
        "The API's address.",
        env="CRONTIFY_BASE_URL",
        default="https://api.crontify.com/api/v1",
    ),
    Key(
        "allow_http",
        kinds.SWITCH,
        "Send the key over plain http:// to other hosts than this one, too.",
        default=False,
    ),
    Key(
        "proxy",
        kinds.PROXY,
        "The proxy for all requests; without it HTTPS_PROXY and its like hold.",
        secret=True,
    ),
    Key(
        "ca_bundle",
        kinds.PATH,
        "The file with the certificates to trust; without it SSL_CERT_FILE holds.",
    ),
    Key("headers", kinds.HEADERS, "Headers to send with every request.", secret=True),
    Key("connect_timeout", kinds.PAUSE, "How long a connection may take.", default=5.0),
    Key("http_timeout", kinds.PAUSE, "How long one request may take.", default=10.0),
    Key(
        "report_timeout",
        kinds.DURATION,
        "How long after the job's end its report is tried before it is left queued.",
        default=20.0,
    ),
    Key(
        "rate_limit_wait",
        kinds.DURATION,
        "How long to wait after the job's end where the plan's minimum interval asks for it.",
        default=90.0,
    ),
    Key("keep_runs", kinds.COUNT, "How many runs are kept in the journal.", default=10_000),
    Key("keep_days", kinds.COUNT, "How many days runs are kept in the journal.", default=90),
    Key("keep_log_mb", kinds.COUNT, "How many MiB of logs are kept.", default=256),
    Key("id", kinds.MONITOR, "The monitor's id; without it the section's NAME.", scope="monitor"),
    Key(
        "timeout",
        kinds.DURATION,
        "Stop the job after this long: TERM to its process group, then KILL; exit 124.",
        scope="both",
    ),
    Key(
        "kill_after",
        kinds.DURATION,
        "How long after the TERM of the timeout comes the KILL.",
        scope="both",
    ),
    Key(
        "success_codes",
        kinds.CODES,
        'Exit codes that mean success, as "0,20-25" or [0, 24].',
        scope="both",
    ),
    Key("min_duration", kinds.DURATION, "A run that ends sooner is a failure.", scope="both"),
    Key(
        "tolerate",
        kinds.COUNT,
        "Report up to this many failures in a row as success.",
        scope="both",
    ),
    Key(
        "output",
        kinds.OUTPUT_MODE,
        "Pass the job's output on always, only if the job fails, or never.",
        scope="both",
    ),
    Key("no_start", kinds.SWITCH, "Report the end only, not the start.", scope="both"),
    Key("no_log", kinds.SWITCH, "Report no log with a failure.", scope="both"),
    Key(
        "meta_regex",
        kinds.META_REGEXES,
        "Report numbers found in the output: named groups. Top and section add up.",
        scope="both",
    ),
    Key(
        "redact",
        kinds.REGEXES,
        "Mask what matches, beside the built-in masks. Top and section add up.",
        scope="both",
    ),
)

BY_NAME = {key.name: key for key in KEYS}
TOP = {key.name: key for key in KEYS if key.scope != "monitor"}
MONITOR = {key.name: key for key in KEYS if key.scope != "top"}

# Of each only one may stand in a file.
CREDENTIALS = {
    "api_key": ("api_key", "api_key_file", "api_key_command"),
    "token": ("token", "token_file", "token_command"),
}


class Address(NamedTuple):
    """A place in the config file: the names that lead there, and the row of the table."""

    names: tuple[str, ...]
    key: Key

    @property
    def path(self) -> str:
        """The full key path, as TOML writes it."""
        return key_path(*self.names)


def parse_address(text: str) -> Address:
    """Return what `text` names; raises CrontifyError (usage) for what is no key.

    A monitor's name may have dots, a key has none, so the last word is the key.
    """
    names = split(text)
    if len(names) == 3:
        try:
            parse_monitor(names[1])
        except ValueError as error:
            raise CrontifyError(f"{text}: {error}", ExitCode.USAGE) from None
    if names[0] == "monitors" and len(names) < 3:
        raise CrontifyError(f"{text}: not a key: write monitors.NAME.KEY", ExitCode.USAGE)
    known = MONITOR if names[0] == "monitors" else TOP
    name = names[0] if names[0] == "headers" else names[-1]
    if name not in known:
        raise CrontifyError(f"{text}: {explain_unknown(name, known)}", ExitCode.USAGE)
    return Address(names, known[name])


def split(text: str) -> tuple[str, ...]:
    """Return the names in a key path, known or not."""
    first, dot, rest = text.partition(".")
    if first == "monitors" and dot:
        alias, dot, name = rest.rpartition(".")
        if dot and alias[:1] + alias[-1:] == '""':  # as `config check` writes it
            alias = alias[1:-1]
        return ("monitors", alias, name) if dot else ("monitors", name)
    return ("headers", rest) if first == "headers" and dot else (text,)


def key_path(*names: str) -> str:
    """Return a key's full path as TOML writes it: `monitors."a.b".timeout`."""
    return ".".join(name if _is_bare(name) else _quoted(name) for name in names)


def _is_bare(name: str) -> bool:
    return bool(name) and name.isascii() and name.replace("-", "a").replace("_", "a").isalnum()


def _quoted(name: str) -> str:
    short = name if len(name) <= 60 else name[:60] + "…"
    escaped = short.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in escaped) + '"'


def explain_unknown(name: str, known: Mapping[str, Key]) -> str:
    """Return what is wrong with a name that is none of the keys `known` in its place."""
    if name in BY_NAME:
        place = "in [monitors.NAME] only" if name in MONITOR else "at the top only"
        return f"this key stands {place}"
    from difflib import get_close_matches

    nearest = get_close_matches(name[:60], known, 1)
    return "unknown key" + (f": did you mean {nearest[0]}?" if nearest else "")
