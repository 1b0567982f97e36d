"""The table of settings. Reading, checking, showing and documenting them all follow it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from crontify_cli.config import kinds
from crontify_cli.config.kinds import COMMAND, COUNT, DURATION, PATH, PAUSE, SECRET, SWITCH, Kind
from crontify_cli.errors import CrontifyError, ExitCode
from crontify_cli.values import parse_monitor


class Key(NamedTuple):
    """A row of the table.

    scope: where in the file the key is allowed: at the "top", in a "monitor"'s section, or
        in "both"; at the top it then applies to every monitor.
    env: the environment variable, "" if there is none.
    default: the typed value that applies if nothing is set, None for no value.
    """

    name: str
    kind: Kind
    help: str
    scope: Literal["top", "monitor", "both"] = "top"
    env: str = ""
    default: object = None

    @property
    def secret(self) -> bool:
        """Whether it is masked when shown and never taken from the command line."""
        return self.kind in (SECRET, kinds.PROXY, kinds.SMTP_URL, kinds.HEADERS)


def _credential(name: str, what: str, use: str = "") -> tuple[Key, Key, Key]:
    """Return the keys for a credential: the text itself, a file, and a command."""
    env = f"CRONTIFY_{name.upper()}"
    return (
        Key(name, SECRET, f"The {what}{use}.", env=env),
        Key(f"{name}_file", PATH, f"File whose first line is the {what}.", env=f"{env}_FILE"),
        Key(
            f"{name}_command",
            COMMAND,
            f"Command whose first line of output is the {what}. It is run without a shell.",
        ),
    )


def _for_monitors(name: str, kind: Kind, help: str) -> Key:  # noqa: A002 - the column's name
    return Key(name, kind, help, scope="both")


_API_KEY = _credential("api_key", "API key")
_TOKEN = _credential("token", "user token", " (a JWT), for reading logs from the API")

KEYS = (
    *_API_KEY,
    *_TOKEN,
    Key(
        "base_url",
        kinds.BASE_URL,
        "Base URL of the API.",
        env="CRONTIFY_BASE_URL",
        default="https://api.crontify.com/api/v1",
    ),
    Key(
        "allow_http",
        SWITCH,
        "Allow a base_url with http:// on another host, which sends the API key unencrypted.",
        default=False,
    ),
    Key(
        "proxy",
        kinds.PROXY,
        "Proxy for requests to other hosts. If it is not set, HTTPS_PROXY and NO_PROXY apply.",
    ),
    Key(
        "ca_bundle",
        PATH,
        "File with the CA certificates to trust. If it is not set, SSL_CERT_FILE applies.",
    ),
    Key("headers", kinds.HEADERS, "Additional headers for every request."),
    Key(
        "smtp_url",
        kinds.SMTP_URL,
        "SMTP server through which the sandbox sends e-mail, as smtp://USER:PASSWORD@HOST:PORT,"
        " or smtps:// for TLS from the start.",
    ),
    Key(
        "smtp_from",
        kinds.ADDRESS,
        "Sender of the sandbox's e-mail. Default: crontify@ and the name of the machine.",
    ),
    Key("connect_timeout", PAUSE, "Timeout for connecting to the server.", default=5.0),
    Key("http_timeout", PAUSE, "Timeout for one request.", default=10.0),
    Key(
        "report_timeout",
        DURATION,
        "How long to try to deliver the report after the job has ended; then it stays queued.",
        default=20.0,
    ),
    Key(
        "rate_limit_wait",
        DURATION,
        "How long to wait after the job has ended if the server limits the rate of pings.",
        default=90.0,
    ),
    Key("keep_runs", COUNT, "Number of runs to keep in the journal.", default=10_000),
    Key("keep_days", COUNT, "Number of days to keep runs in the journal.", default=90),
    Key("keep_log_mb", COUNT, "Size of the logs to keep, in MiB.", default=256),
    Key(
        "metrics_file",
        PATH,
        "File to write metrics for Prometheus to, after every run and 'crontify flush'.",
    ),
    Key("id", kinds.MONITOR, "Id of the monitor. Default: NAME, as in the section.", "monitor"),
    _for_monitors(
        "timeout",
        DURATION,
        "Time limit for the job. After it, its process group gets TERM, then KILL; exit 124.",
    ),
    _for_monitors("kill_after", DURATION, "Time between the TERM and the KILL of the timeout."),
    Key(
        "overlap",
        kinds.OVERLAP_MODE,
        "If another run of the monitor is still active: start anyway, skip this one, or wait.",
        scope="both",
        default="allow",
    ),
    Key(
        "shell",
        SWITCH,
        "Run COMMAND, if it is one string, with $SHELL or /bin/sh.",
        scope="both",
        default=False,
    ),
    _for_monitors(
        "success_codes", kinds.CODES, 'Exit codes that mean success, as "0,20-25" or [0, 24].'
    ),
    _for_monitors("min_duration", DURATION, "Treat a run as failed if it ends sooner."),
    _for_monitors("tolerate", COUNT, "Report up to this many failures in a row as successes."),
    _for_monitors(
        "output",
        kinds.OUTPUT_MODE,
        "Print the job's output always, only if the job fails, or never.",
    ),
    _for_monitors(
        "start",
        kinds.START_MODE,
        "Report the start of the job always, never, or (auto) unless the plan's rate limit would"
        " delay the report of an end.",
    ),
    _for_monitors("no_start", SWITCH, 'Same as start = "never".'),
    _for_monitors("no_log", SWITCH, "Do not send the log of a failure."),
    _for_monitors(
        "meta_regex",
        kinds.META_REGEXES,
        "Report numbers found in the output by named groups. Adds to the patterns at the top.",
    ),
    _for_monitors(
        "redact",
        kinds.REGEXES,
        "Mask additional text in the logs. Adds to the patterns at the top.",
    ),
    Key(
        "mask_shapes",
        SWITCH,
        "Mask also what looks like a secret: well-known tokens, private keys, password=VALUE.",
        scope="both",
        default=True,
    ),
)

BY_NAME = {key.name: key for key in KEYS}
TOP = {key.name: key for key in KEYS if key.scope != "monitor"}
MONITOR = {key.name: key for key in KEYS if key.scope != "top"}

CREDENTIALS = {keys[0].name: tuple(key.name for key in keys) for keys in (_API_KEY, _TOKEN)}
"""The keys for each credential. A file may contain only one of them."""

PATTERNS = ("meta_regex", "redact")
ADDING = ("headers", *PATTERNS)
"""The keys whose values in several places apply together."""


class KeyPath(NamedTuple):
    """The path of a key in the config file, and its row of the table."""

    names: tuple[str, ...]
    key: Key

    @property
    def path(self) -> str:
        """The path in TOML's notation."""
        return key_path(*self.names)


def parse_key_path(text: str) -> KeyPath:
    """Return the key that `text` names; raises CrontifyError (usage) if there is none."""
    names = split(text)
    if len(names) == 3:
        try:
            parse_monitor(names[1])
        except ValueError as error:
            raise CrontifyError(f"{text}: {error}", ExitCode.USAGE) from None
    if names[0] == "monitors" and len(names) < 3:
        raise CrontifyError(f"{text}: not a key; write monitors.NAME.KEY", ExitCode.USAGE)
    known = MONITOR if names[0] == "monitors" else TOP
    name = names[0] if names[0] == "headers" else names[-1]
    if name not in known:
        raise CrontifyError(f"{text}: {explain_unknown(name, known)}", ExitCode.USAGE)
    return KeyPath(names, known[name])


def split(text: str) -> tuple[str, ...]:
    """Return the names in a key path, whether the key exists or not.

    The name of a monitor may contain dots, a key does not, so the last word is the key.
    """
    first, dot, rest = text.partition(".")
    if first == "monitors" and dot:
        alias, dot, name = rest.rpartition(".")
        if dot and alias[:1] + alias[-1:] == '""':  # quoted, as `config check` prints it
            alias = alias[1:-1]
        return ("monitors", alias, name) if dot else ("monitors", name)
    return ("headers", rest) if first == "headers" and dot else (text,)


def key_path(*names: str) -> str:
    """Return a key path in TOML's notation: `monitors."a.b".timeout`."""
    return ".".join(name if _is_bare(name) else _quoted(name) for name in names)


def _is_bare(name: str) -> bool:
    return bool(name) and name.isascii() and name.replace("-", "a").replace("_", "a").isalnum()


def _quoted(name: str) -> str:
    short = name if len(name) <= 60 else name[:60] + "…"
    escaped = short.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in escaped) + '"'


def explain_unknown(name: str, known: Mapping[str, Key]) -> str:
    """Return the error message for a key that is not one of those `known` in its place."""
    if name in BY_NAME:
        place = "in [monitors.NAME]" if name in MONITOR else "at the top of the file"
        return f"only allowed {place}"
    nearest = nearest_key(name, known)
    return "unknown key" + (f"; did you mean {nearest}?" if nearest else "")


def nearest_key(name: str, known: Mapping[str, Key]) -> str | None:
    """Return the key of those `known` that was probably meant by `name`, None for none."""
    from difflib import get_close_matches

    return name if name in BY_NAME else next(iter(get_close_matches(name[:60], known, 1)), None)
