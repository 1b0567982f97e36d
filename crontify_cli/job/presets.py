"""Finds `overlap` and `shell` in the config files, which the job's start depends on.

Loading the settings takes about twenty milliseconds, for which the job would have to wait. So
the files are searched for the two words. Nearly always they are absent, or on lines of the usual
form; only otherwise the settings are loaded at once.
"""

import os

from crontify_cli.places import config_files, files_in, folder_of
from crontify_cli.values import OVERLAP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from crontify_cli.job.options import ExecOptions

    Found = dict[str, str]

_NAMES = ("overlap", "shell")
_VALUES = {
    "overlap": {quote + word + quote: word for word in OVERLAP for quote in "\"'"},
    "shell": {"true": "true", "false": ""},
}
_MOST_BYTES = 64 * 1024


class _UnusualError(Exception):
    """A file has to be read by those who know TOML, or judged by those who know its owner."""


def settle(options: "ExecOptions") -> str:
    """Set the two options as the config files say, unless flags do; return what is to be said."""
    if not (options.overlap and options.shell):
        try:
            found = search(options)
        except (_UnusualError, OSError, ValueError):
            found = _load(options)
        options.overlap = options.overlap or found.get("overlap")
        if found.get("shell") and len(options.command) > 1:
            return "shell = true in the config is ignored: the command is more than one string"
        options.shell = options.shell or bool(found.get("shell"))
    return ""


def search(options: "ExecOptions") -> "Found":
    """Return the values that the files have for the monitor, as text.

    Raises an exception if they do not tell that easily.
    """
    named = options.config or os.environ.get("CRONTIFY_CONFIG")
    for file in [os.path.expanduser(named)] if named else config_files():
        top: Found = {}
        section: Found = {}
        exists = False
        for content in _contents(file):
            exists = True
            for name, value in _settings(content, options.monitor):
                (section if name[0] == "." else top)[name.lstrip(".")] = value
        if exists:
            return top | section
    return {}


def _load(options: "ExecOptions") -> "Found":
    from crontify_cli.config import load

    monitor = load(options.config).settings.monitor(options.monitor)
    return {"overlap": monitor.overlap, "shell": "true" if monitor.shell else ""}


def _contents(file: str) -> "Iterator[str]":
    """Yield the content of a config file, then those of its conf.d."""
    if file == os.devnull:
        yield ""
        return
    try:
        yield _read(file)
    except (FileNotFoundError, NotADirectoryError):
        pass
    try:
        files = files_in(folder_of(file))
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from map(_read, files)


def _read(file: str) -> str:
    """Return the content of a file if one of the words is in it, else ""."""
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = os.read(fd, _MOST_BYTES)
        status = os.fstat(fd)
    finally:
        os.close(fd)
    if len(content) == _MOST_BYTES:
        raise _UnusualError
    # The words may be written as \\uXXXX.
    if not any(word in content for word in (b"overlap", b"shell", b"\\u", b"\\U")):
        return ""
    places = [os.path.dirname(os.path.abspath(file))]
    if places[0] == folder_of(places[0]):  # a conf.d, which is in the hands of who has its folder
        places.append(os.path.dirname(places[0]))
    for found in (status, *map(os.stat, places)):
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
            raise _UnusualError
    if any(map(os.path.islink, (file, *places))):
        raise _UnusualError
    return content.decode()


def _settings(content: str, monitor: str) -> "Iterator[tuple[str, str]]":
    """Yield what a file says of the monitor: names and values, `.name` for those of its section."""
    if any(mark in content for mark in ('"""', "'''", "\\u", "\\U", "\ufeff")):
        raise _UnusualError
    section, seen = "", set[str]()
    for line in content.split("\n"):
        line = line.strip()
        if line.startswith("["):
            section = _section(line)
            continue
        if line.startswith("#") or not any(name in line for name in _NAMES):
            continue
        name, _, value = line.partition("=")
        name = name.strip()
        if name not in _NAMES:
            if name == "monitors" or not _is_bare(name):
                raise _UnusualError
            continue
        value = _VALUES[name].get(value.partition("#")[0].strip(), "unusual")
        if value == "unusual" or section + name in seen:
            raise _UnusualError
        seen.add(section + name)
        if section in ("", f"monitors.{monitor}"):
            yield ("." if section else "") + name, value


def _section(line: str) -> str:
    """Return the name of a table, without quotes, from its line."""
    name, bracket, rest = line[1:].partition("]")
    if not bracket or (rest.strip() and not rest.strip().startswith("#")):
        raise _UnusualError
    if name == "headers":
        return name
    first, _, alias = name.partition(".")
    if first == "monitors" and alias[:1] == alias[-1:] == '"' and len(alias) > 2:
        alias = alias[1:-1]
        if '"' not in alias and "\\" not in alias:
            return f"monitors.{alias}"
    elif first == "monitors" and _is_bare(alias):
        return name
    raise _UnusualError


def _is_bare(name: str) -> bool:
    return bool(name) and name.isascii() and name.replace("-", "a").replace("_", "a").isalnum()
