"""What a TAB asks for: monitors, runs and reports, at little more than a bare Python's price.

The shells' completions call `crontify __complete …` while a person waits for a key
press, so nothing heavy is loaded (tomllib only where a config needs it: it doubles the
time), and a problem is no message but an answer with less in it.

What is offered consists of letters, digits and `-._~`: a shell evaluates none of them, even
if it does not quote what it inserts.
"""

import os

from crontify_cli.errors import one_line
from crontify_cli.places import config_files, files_in, folder_of
from crontify_cli.state import Folder, state_dir
from crontify_cli.values import parse_monitor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Candidate = tuple[str, str]  # the word, and what is said beside it

MONITORS, RUNS = 200, 50  # more than anybody looks through
_LOCK_SECONDS = 0.2
_LARGEST = 1024 * 1024  # bytes, as config/file.py has it

# A seek in the index for each monitor: DISTINCT would walk through all runs.
_MONITORS = """
WITH RECURSIVE seen (monitor) AS (
  SELECT min(monitor) FROM runs
  UNION ALL
  SELECT (SELECT min(monitor) FROM runs WHERE monitor > seen.monitor)
  FROM seen WHERE seen.monitor IS NOT NULL
)
SELECT seen.monitor, outcome, started_at FROM seen
JOIN runs ON seq = (SELECT max(seq) FROM runs WHERE runs.monitor = seen.monitor)
ORDER BY seq DESC LIMIT ?
"""
_QUEUED = """
SELECT run_id, monitor, outcome, reports.ended_at FROM reports JOIN runs ON runs.id = run_id
WHERE state = 'queued' ORDER BY reports.id DESC LIMIT ?
"""
_RUNS = "SELECT id, outcome, started_at FROM runs {} ORDER BY seq DESC LIMIT ?"


def answer(words: "list[str]") -> int:
    """Print what `words` ask for, a line each: the word, a tab, its description. Always 0.

    `monitors`, `runs`, `runs MONITOR`, or `reports` (queued ones); anything else has no answer.
    """
    found: Iterable[Candidate] = ()
    try:
        if words == ["monitors"]:
            found = monitors()
        elif words == ["reports"]:
            found = reports()
        elif words[:1] == ["runs"]:
            found = runs(words[1] if len(words) > 1 else None)
        text = "".join(f"{word}\t{said}\n" for word, said in found)
        os.write(1, text.encode())
    except (OSError, ValueError, OverflowError):
        pass  # a file is not what it should be, or nobody is listening any more
    return 0


def monitors() -> "list[Candidate]":
    """Return the config's aliases in its order, then other monitors, the newest run first."""
    ran = {
        str(name): f"{_outcome(outcome)}, {_clock(at)}"
        for name, outcome, at in _query(_MONITORS, (MONITORS,))
    }
    aliases = dict.fromkeys(_aliases(), "no run yet")
    return [(name, one_line(said)) for name, said in (aliases | ran).items() if _is_monitor(name)]


def runs(monitor: "str | None") -> "list[Candidate]":
    """Return the ids of the newest runs, of one monitor or of all, the newest first."""
    where, values = ("WHERE monitor = ?", (monitor,)) if monitor else ("", ())
    rows = _query(_RUNS.format(where), (*values, RUNS))
    return [
        (str(run), one_line(f"{_clock(at)}, {_outcome(outcome)}"))
        for run, outcome, at in rows
        if str(run).isascii() and str(run).isalnum()
    ]


def reports() -> "list[Candidate]":
    """Return the monitors that have queued reports, and the runs of those, the newest first."""
    rows = list(_query(_QUEUED, (RUNS,)))
    names = dict.fromkeys(str(monitor) for _, monitor, _, _ in rows)
    found = [(name, "queued reports") for name in names if _is_monitor(name)]
    for run, monitor, outcome, at in rows:
        found.append((str(run), f"{_clock(at)}, {monitor}, {_outcome(outcome)}"))
    return found


def _aliases() -> "Iterator[str]":
    for content in _configs():
        try:
            names = section_names(content.removeprefix(b"\xef\xbb\xbf").decode())
            if names is None:
                from crontify_cli.config.file import parse

                sections = parse(content).get("monitors")
                names = list(map(str, sections)) if isinstance(sections, dict) else []
        except ValueError:
            continue
        yield from names


def section_names(text: str) -> "list[str] | None":
    """Return each NAME of a TOML document's `[monitors.NAME]` headers, in order.

    None if the document writes `monitors` in any other way, or might: then only a parser
    can tell.
    """
    if "'''" in text or '"""' in text:
        return None
    names: list[str] = []
    for line in text.split("\n"):
        line = line.strip(" \t\r")
        if line.startswith("[monitors."):
            name = _name_in_header(line)
            if name is None:
                return None
            names.append(name)
        elif line.startswith("#"):
            continue
        elif "monitors" in line or (line.startswith(("[", '"')) and "\\" in line):
            return None  # the key's letters may be written as escapes
    return list(dict.fromkeys(names))


def _name_in_header(line: str) -> "str | None":
    """Return NAME, bare or in quotes, of `[monitors.NAME]`; None for anything else."""
    name, bracket, rest = line.removeprefix("[monitors.").partition("]")
    rest = rest.strip(" \t")
    if not bracket or (rest and not rest.startswith("#")):
        return None
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1]
        return None if any(char in name for char in "\"'\\") else name
    is_bare = name.isascii() and name.replace("-", "a").replace("_", "a").isalnum()
    return name if is_bare else None


def _configs() -> "Iterator[bytes]":
    """Yield the content of each config file that would be read, as `config/file.py` has it."""
    named = os.environ.get("CRONTIFY_CONFIG")
    for place in [os.path.expanduser(named)] if named else config_files():
        files = [place, *_added_files(place)]
        contents = list(map(_content, files))
        if any(content is not None for content in contents):
            yield from filter(None, contents)
            return


def _added_files(config_file: str) -> "list[str]":
    try:
        return files_in(folder_of(config_file)) if config_file != os.devnull else []
    except (OSError, ValueError):
        return []


def _content(file: str) -> "bytes | None":
    """Return the content of a file, None if it does not exist, nothing if it cannot be used."""
    try:
        with open(file, "rb", buffering=0, opener=_open_at_once) as stream:
            if os.fstat(stream.fileno()).st_uid not in (os.geteuid(), 0):
                return b""  # as config/trust.py has it
            return stream.read(_LARGEST) or b""
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        return b""


def _open_at_once(file: str, flags: int) -> int:
    """Open a file without blocking: a FIFO in its place must not hold the shell up."""
    return os.open(file, flags | os.O_NONBLOCK)


def _query(sql: str, values: "tuple[object, ...]") -> "Iterator[tuple[object, ...]]":
    """Yield the journal's rows, none if it cannot be read: never made, migrated, set aside."""
    try:
        path = os.path.join(state_dir(), "journal.db")
        with Folder(os.path.dirname(path)) as folder:
            for suffix in ("", "-wal", "-shm", "-journal"):
                folder.check(f"journal.db{suffix}", scratch="journal.db.new-")
    except OSError:
        return
    if not os.path.exists(path):
        return
    import sqlite3

    try:
        quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        db = sqlite3.connect(f"file:{quoted}?mode=ro", timeout=_LOCK_SECONDS, uri=True)
        try:
            yield from db.execute(sql, values)
        finally:
            db.close()
    except (sqlite3.Error, OSError, ValueError):
        return


def _is_monitor(name: str) -> bool:
    try:
        parse_monitor(name)
    except ValueError:
        return False
    return True


def _outcome(outcome: object) -> str:
    return "running" if outcome is None else str(outcome)


def _clock(at: object) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M", time.localtime(float(str(at))))
