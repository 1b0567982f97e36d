"""Reads one line of output as loggers write it: its level, and the text worth showing.

Understands JSON objects, logfmt, and a time stamp or a level in front of plain text.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal, NamedTuple

from crontify_cli.report.excerpt import clean

Level = Literal["", "info", "warning", "error"]


class LogLine(NamedTuple):
    """One line as its logger meant it.

    level: "" if the line names none. indent: columns before the text, not counting a
    time stamp. text: without stamp; may contain line breaks if it was JSON.
    """

    level: Level
    indent: int
    text: str


_ERRORS = (
    *("error", "err", "e", "severe", "failure", "failed", "fail", "fatal", "ftl", "critical"),
    *("crit", "panic", "pnc", "dpanic", "emerg", "emergency", "alert", "erro", "fata"),
)
_WARNINGS = ("warning", "warn", "wrn", "w", "deprecation", "deprecated")
_INFOS = (
    *("info", "inf", "information", "informational", "notice", "debug", "dbg", "trace", "trc"),
    *("verbose", "fine", "finer", "finest", "config", "i", "d", "success", "ok"),
)
_LEVELS: Final[Mapping[str, Level]] = {
    **dict.fromkeys(_ERRORS, "error"),
    **dict.fromkeys(_WARNINGS, "warning"),
    **dict.fromkeys(_INFOS, "info"),
}

# A bracket, a date and a time in any of the usual orders, what separates them from the text.
_STAMP = r"""(?x) [\[(]?
    (?: (?:\d{4}[-/.]\d\d[-/.]\d\d | \d\d?[-/.](?:\d\d?|[A-Z][a-z]{2})[-/.]\d{2,4})
            (?:[T\ :_]{1,2}\d\d?:\d\d(?::\d\d)?(?:[.,:]\d{1,9})?)
      | (?:[A-Z][a-z]{2},?\ )?[A-Z][a-z]{2}\ {1,2}\d\d?(?:,?\ \d{4},?)?\ \d\d?:\d\d:\d\d
            (?:[.,]\d{1,9})?
      | \d\d?:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?![\d:]|-\d)
      | 1\d{9}(?:\d{3}|\.\d{1,9})?(?!\d) | \ *\d{1,8}\.\d{6}(?=\])
    )
    (?:\ ?(?:Z\b|[+-]\d\d:?\d\d|UTC\b|GMT\b|[AP]M\b|CES?T\b))?(?:\ \d{4}\b)?
    [\])]? [,:|;]? (?:\ (?:-|\|)(?=\ ))?"""
_WRAPPED = (
    r"(?:[\w.-]+\ +\|\ | *[│┃║|] ?(?! *\d)|#\d+ \d+\.\d+ |std(?:err|out) [FP] "
    r"|<\d{1,3}>(?:1 (?:\S+ ){5}(?:-|\[[^\]]*\]) )?)"
)
"""What container runtimes, builders, boxes and syslog put in front of each line."""

_UPPER = (
    "TRACE|DEBUG|VERBOSE|FINE|CONFIG|INFO|INFORMATION|NOTICE|WARN|WARNING|ERROR|SEVERE|FATAL"
    "|CRITICAL|ALERT|EMERG|EMERGENCY|PANIC|DPANIC|FAILURE|FAILED|FAIL"
    "|ERR|CRIT|INF|WRN|DBG|FTL|PNC|TRC|ERRO|FATA"
)
_AFTER_STAMP = (
    rf"(?<![\w='\"/-])(?:{_UPPER})(?![\w='\"]|-\w)"
    r"|(?<=[\[<(|])(?:trace|debug|info|notice|warn(?:ing)?|err(?:or)?|crit(?:ical)?|alert|emerg|fatal)(?=[\]>)|])"
    r"|(?:^|(?<=\s))(?:info|notice|warn(?:ing)?|error|fatal|debug)(?=\s*[:|\t])"
)
_AT_START = (
    r"(?:[\[{][^\]}]{0,60}[\]}]\s?|\w{1,30}\.|\|-|\*+\s?|>+\s){0,3}[\[<(]?"
    rf"((?:{_UPPER})(?![\w='\"]|-\w)"
    r"|(?i:trace|debug|info|notice|warn(?:ing)?|error|err|crit(?:ical)?|alert|emerg|fatal|fail)"
    r"(?=\s?[\]>)|:]))"
)
_CLOSED = r"(?:[/ ][\w.:-]{1,40})?[\])>|][:\s|-]*"
_HOST = r"\s+[\w.-]+ (?=[\w./()-]+\[\d+\]: )"
_KLOG = r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+:\d+\] "
_ONE_LETTER = r"([DIWEF])(?=, \[\d{4}|: )"
_LOGFMT = r'(?<![\w."])([\w.@-]{1,40})=("(?:[^"\\]|\\.){0,4000}+"|[^\s"]{0,2000}+)'

_NUMBERS = frozenset(map(str, range(101)))
_LEVEL_KEYS = ("level", "severity", "lvl", "levelname", "log.level", "loglevel", "@l", "@level")
_TEXT_KEYS = (
    *("msg", "message", "event", "text", "short_message", "@message", "@m", "@mt", "log"),
    "errorMessage",
)
_CAUSE_KEYS = (
    *(
        "err",
        "error",
        "errors",
        "error.message",
        "exception",
        "exc_info",
        "exception.message",
        "@x",
    ),
    *("cause", "reason", "details", "detail", "error_message", "stderr", "error.stack_trace"),
    *("stack_trace", "stack", "stackTrace"),
)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def read(line: str) -> LogLine:
    """Return the line's level and text; plain text comes back as it is, less its stamp."""
    bare = line.lstrip()
    if bare.endswith("}") and "{" in bare and (fields := _json(bare)):
        return fields
    indent = len(line) - len(bare)
    if wrapped := _compiled(_WRAPPED).match(line):
        indent = 0
        rest = line[wrapped.end() :].rstrip(" │┃║")
        bare = rest.lstrip()
        indent = len(rest) - len(bare)
    stamp = _compiled(_STAMP).match(bare)
    if stamp:
        rest = bare[stamp.end() :]
        rest = rest[host.end() :] if (host := _compiled(_HOST).match(rest)) else rest
        bare = rest.lstrip()
        indent = max(0, len(rest) - len(bare) - 2)
    if "=" in bare and (fields := _logfmt(bare)):
        return fields
    return _plain(bare, indent, stamped=bool(stamp))


def _plain(text: str, indent: int, *, stamped: bool) -> LogLine:
    if klog := _compiled(_KLOG).match(text):
        level = _LEVELS[klog[1].lower().replace("f", "fatal")]
        said = text[klog.end() :]
        fields = _logfmt("msg=" + said) if said.startswith('"') else None
        return LogLine(level, indent, fields.text if fields else said)
    if letter := _compiled(_ONE_LETTER).match(text):
        level = _LEVELS[letter[1].lower().replace("f", "fatal")]
        return LogLine(level, indent, text[letter.end() + 1 :].rpartition(" -- ")[2].lstrip(" :"))
    found = _compiled(_AFTER_STAMP).search(text, 0, 120) if stamped else None
    if found and (found[0].isupper() or text[: found.start()].count(" ") < 3):
        return LogLine(_LEVELS[found[0].lower()], indent, _from_level(text, *found.span()))
    if found := _compiled(_AT_START).match(text):
        return LogLine(_LEVELS[found[1].lower()], indent, _from_level(text, *found.span(1)))
    return LogLine("", indent, text)


def _from_level(text: str, start: int, end: int) -> str:
    """Return the text from its level on, without the level's brackets."""
    rest = text[end:]
    if closed := _compiled(_CLOSED).match(rest):
        rest = " " + rest[closed.end() :]
    return text[start:end] + rest


def _json(text: str) -> LogLine | None:
    """Return what a JSON object, or one at the end of a line, says; None if it is not JSON."""
    start = text.find("{")
    try:
        fields = json.loads(text[start:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    if not start:
        return _from_fields(fields)
    front = read(text[:start].rstrip(" \t=>"))
    said = _from_fields(fields, within=True)
    words = front.text if not said or said.text in front.text else f"{front.text}: {said.text}"
    return front._replace(text=words)


def _logfmt(text: str) -> LogLine | None:
    fields: dict[str, object] = {}
    for key, value in _compiled(_LOGFMT).findall(text):
        fields.setdefault(key, _unquoted(value))
    if not any(key in fields for key in (*_LEVEL_KEYS, "err", "error", "msg")):
        return None
    if any(key in fields for key in _LEVEL_KEYS) or "msg" in fields:
        return _from_fields(fields)
    return None


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _from_fields(fields: Mapping[str, object], *, within: bool = False) -> LogLine | None:
    """Return level and text of a log record; None if it holds nothing to read."""
    nested = fields.get("log")
    level = _level_of(next((fields[key] for key in _LEVEL_KEYS if key in fields), None))
    if not level and isinstance(nested, dict):
        level = _level_of(nested.get("level"))
    said = [_words(fields[key]) for key in _TEXT_KEYS if key in fields]
    causes = [_words(fields[key]) for key in _CAUSE_KEYS if fields.get(key)]
    parts: list[str] = []
    for words in (*said[:1], *causes):
        if words and len(parts) < 3 and not any(words in part for part in parts):
            parts.append(words)
    if not parts or (not level and not said and not within and not causes):
        return None
    text = clean(": ".join(parts).encode("utf-8", "replace"))  # what JSON's escapes stood for
    return LogLine(level or ("error" if causes else ""), 0, text)


def _level_of(value: object) -> Level:
    if isinstance(value, str):
        if value not in _NUMBERS:
            return _LEVELS.get(value.lower(), "")
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return ""
    if value < 10:  # syslog's severities
        return "error" if value <= 3 else "warning" if value == 4 else "info"
    return "error" if value >= 50 else "warning" if value >= 40 else "info"  # bunyan's and pino's


def _words(value: object, depth: int = 4) -> str:
    """Return the message inside of a field, at most `depth` objects deep."""
    if isinstance(value, str):
        return _of_trace(value)
    if isinstance(value, list):
        value = value[0] if value else ""
        return _words(value, depth - 1) if depth else ""
    if not isinstance(value, dict) or not depth:
        return ""
    kind = value.get("type") or value.get("name") or value.get("class") or value.get("code")
    message = next((_words(value[key], depth - 1) for key in _TEXT_KEYS if value.get(key)), "")
    message = message or next(
        (_words(value[key], depth - 1) for key in _CAUSE_KEYS if value.get(key)), ""
    )
    if isinstance(kind, str) and kind not in message:
        return f"{kind}: {message}" if message else kind
    return message


def _of_trace(text: str) -> str:
    """Return the line of a stack trace that names the exception, or the text as it is."""
    lines = [line for line in text.split("\n") if line and not line[0].isspace()]
    if len(lines) < 2:
        return lines[0] if lines else text.strip()
    if lines[0].startswith("Traceback "):
        return lines[-1]
    caused = [line for line in lines if line.startswith("Caused by: ")]
    return f"{lines[0]}: {caused[-1]}" if caused else lines[0]
