"""The record of a running job: the layout of the file, and how to read it.

The wrapper writes it (`job/recorder.py`), and any process may read it: while the job
runs, after the wrapper was killed, or after the machine went down. Its path below the
state directory is `live/RUN-MONITOR.rec`, and it consists of

    0       the header: numbers at fixed offsets, then texts separated by NUL
    4 KiB   the head: the first 64 KiB of the output
    68 KiB  the ring buffer: the output after the head; new bytes overwrite the oldest
    SIZE    the length of what follows, and the secrets of the job's environment
            separated by NUL, so that they can be masked in a report by another process

The header says how far the run has come (`AT_STATE`); whoever learns of a step first
writes it.

The wrapper holds a POSIX lock on the whole file while it runs, so that other processes
notice when it has died, even from another PID namespace. A process that reports the run
of a dead wrapper locks everything except the first byte, and so is not mistaken for the
wrapper. A wrapper that was killed may have written one chunk to the ring without
counting it. That is why only 960 KiB of the ring, its size less one chunk, are read.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = b"crontrec"
VERSION = 2
"""Records of version 1 had no status, no flags, no machine and no rules."""
CHUNK = 128 * 1024
HEADER = 4096
HEAD = 64 * 1024
RING = 960 * 1024 + CHUNK
SIZE = HEADER + HEAD + RING
SECRETS = 256 * 1024
"""Bytes of secrets that a record has room for; it takes up only what they need."""
TAIL = RING - CHUNK
"""How many bytes after the head can be read, the newest ones."""

# The numbers in the header, as indices of unsigned 64-bit words.
AT_VERSION, AT_TOTAL, AT_WRAPPER, AT_WRAPPER_START, AT_JOB, AT_JOB_START = range(1, 7)
AT_STARTED, AT_STATE, AT_EXIT_CODE, AT_ENDED, AT_TEXT, AT_REDACT, AT_NO_LOG = range(7, 14)
AT_STATUS, AT_FLAGS = 14, 15
ORIGIN_AT, TEXT_AT = 128, 256
_TEXT_AT_1 = 192

RUNNING, SUCCEEDED, FAILED, ENDED, STORED, REPORTED = range(6)
"""States: RUNNING: nothing is known of the job's end. ENDED: its status and time are.
SUCCEEDED, FAILED: its wrapper has judged it. STORED: the journal has the outcome.
REPORTED: the server has it, too."""

TIMED_OUT, NOT_STARTED, PING = 1, 2, 4
"""Bits of AT_FLAGS. TIMED_OUT: the time limit ended the job. NOT_STARTED: there was no job,
and the text of the rules says why. PING: the record is of a `crontify ping`; the text of the
rules is its message, and the output its log."""

SUFFIX, META_SUFFIX, _SENT_SUFFIX = ".rec", ".meta", ".sent"
SCRATCH = ".new"
"""After the name of a record that is being made at the end of its run."""
COMPANIONS = (META_SUFFIX, _SENT_SUFFIX, SCRATCH)
"""Endings of the files that belong to a record."""


LIVE = "live"
"""The folder of the records."""


def is_run_id(text: str) -> bool:
    """Tell whether `text` has the form of a run's local id."""
    return len(text) == 12 and not text.strip("0123456789abcdef")


def file_name(run: str, monitor: str) -> str:
    """Return the file name of a record. Run ids have no hyphen, so it can be split again."""
    return f"{run}-{monitor}{SUFFIX}"


def meta_path(path: str) -> str:
    """Return the path of the job's own numbers, for that of the record."""
    return path.removesuffix(SUFFIX) + META_SUFFIX


def sent_path(path: str) -> str:
    """Return the path of the final header of a record that could not be written any more."""
    return path.removesuffix(SUFFIX) + _SENT_SUFFIX


def is_written(fd: int) -> bool:
    """Tell whether the wrapper that writes the open record, another process, is running."""
    return _is_locked(fd, 0, 1)


def is_taken(fd: int) -> bool:
    """Tell whether another process is reporting the run of the open record of a dead wrapper."""
    return _is_locked(fd, 1, 0)


def _is_locked(fd: int, start: int, length: int) -> bool:
    os.lseek(fd, start, os.SEEK_SET)
    try:
        os.lockf(fd, os.F_TEST, length)
    except OSError:
        return True
    return False


def take_over(fd: int) -> bool:
    """Lock the record of a dead wrapper; False if it is running or another process was faster."""
    os.lseek(fd, 1, os.SEEK_SET)
    try:
        os.lockf(fd, os.F_TLOCK, 0)
    except OSError:
        return False
    return True


class Record:
    """The content of a record at the moment of reading.

    run, monitor, command: texts; a command line too long for the header is cut.
    redact, no_log: what the flags of those names said of the log; no_log is None where they
        said nothing, and True where the patterns were too long for the header.
    rules: what flags said of success and failure, as `report/verdict.py` reads it.
    problem: why the job could not be started, "" if it could; of a ping, its message.
    is_ping: whether this is a ping that could not be sent, and no run.
    wrapper, job: (pid, start time in clock ticks since boot); the job's pid is 0 until the
        wrapper has noted it after the spawn, a start time is 0 where it is unknown.
    boot_id, namespace, machine: the boot, PID namespace and machine that those belong to.
    started, ended: nanoseconds since the epoch; ended is 0 while the job runs.
    state: how far the run has come, one of RUNNING to REPORTED.
    status: the job's wait status, None where it is unknown. timed_out: its time limit ended it.
    exit_code: what `exec` returned, once the wrapper has judged the run.
    secrets: the secrets of the job's environment; None if the wrapper has not noted them, or if
        that part of the file was not read.
    total: bytes of output so far. head and tail are what is kept of them, `dropped`
        is how many lie between the two.
    """

    def __init__(self, data: "bytes | memoryview") -> None:
        """Read the file's content. Raises ValueError if it is not a record that we know."""
        if data[:8] != MAGIC or len(data) < HEADER:
            raise ValueError("not a record of a run")
        noted = data[SIZE:]
        if len(data) < SIZE:  # cut off by its wrapper, or by somebody else
            data = bytes(data).ljust(SIZE, b"\0")
        view = memoryview(data)
        words = view[:HEADER].cast("Q")
        version = words[AT_VERSION]
        if version not in (1, VERSION):
            raise ValueError(f"a record of version {version}, not {VERSION}")
        # A record of version 1 has none to tell.
        self.secrets = read_secrets(noted) if noted or version == 1 else None
        self.total = words[AT_TOTAL]
        self.wrapper = words[AT_WRAPPER], words[AT_WRAPPER_START]
        self.job = words[AT_JOB], words[AT_JOB_START]
        self.started, self.ended = words[AT_STARTED], words[AT_ENDED]
        self.state, self.exit_code = words[AT_STATE], words[AT_EXIT_CODE]
        known = version > 1 and words[AT_STATUS]
        self.status = words[AT_STATUS] - 1 if known else None
        self.timed_out = bool(version > 1 and words[AT_FLAGS] & TIMED_OUT)
        text_at = TEXT_AT if version > 1 else _TEXT_AT_1
        origin = bytes(view[ORIGIN_AT:text_at]).rstrip(b"\0").decode("ascii", "replace")
        self.boot_id, self.namespace, self.machine = f"{origin}  ".split(" ")[:3]
        text = bytes(view[text_at : text_at + min(words[AT_TEXT], HEADER - text_at)])
        fields = text.decode("utf-8", "surrogateescape").split("\0")
        if len(fields) < 3:
            raise ValueError("record without a run id")
        patterns = words[AT_REDACT]
        self.run, self.monitor = fields[:2]
        rules = fields[2] if version > 1 else ""  # version 1 had the working directory
        self.is_ping = version > 1 and bool(words[AT_FLAGS] & PING)
        no_job = version > 1 and words[AT_FLAGS] & (NOT_STARTED | PING)
        self.rules, self.problem = ("", rules) if no_job else (rules, "")
        self.redact, self.command = fields[3 : 3 + patterns], fields[3 + patterns :]
        self.no_log = (None, True, False)[min(words[AT_NO_LOG], 2)]
        if patterns and not self.command:
            self.no_log = True
        self.head = bytes(view[HEADER : HEADER + min(self.total, HEAD)])
        self.tail = read_tail(view, self.total, max(0, self.total - HEAD))
        self.dropped = self.total - len(self.head) - len(self.tail)


def secrets_text(secrets: "Iterable[str]") -> bytes:
    """Return secrets as they stand at the end of the file.

    If there are none, only the length is written: a reader sees that they are known.
    """
    text = os.fsencode("\0".join(secrets))[:SECRETS]
    return word(len(text)) + text


def read_secrets(data: "bytes | memoryview") -> "list[str]":
    """Return the secrets in what a file has from SIZE on."""
    length = int.from_bytes(data[:8], sys.byteorder)
    text = bytes(data[8 : 8 + length])
    return os.fsdecode(text).split("\0") if text else []


def word(value: int) -> bytes:
    """Return a number as it stands in the header."""
    return value.to_bytes(8, sys.byteorder)


def read_tail(view: memoryview, total: int, wanted: int) -> bytes:
    """Return the newest `wanted` bytes of the ring, or as many as are certainly intact."""
    count = min(wanted, TAIL, max(0, total - HEAD))
    ring = view[HEADER + HEAD : HEADER + HEAD + RING]
    end = (total - HEAD) % RING if total > HEAD else 0
    if count <= end:
        return bytes(ring[end - count : end])
    return bytes(ring[RING - (count - end) :]) + bytes(ring[:end])


def room(total: int) -> tuple[int, int]:
    """Return the offset for the next bytes of output, and how many fit there in one piece."""
    if total < HEAD:
        return HEADER + total, min(CHUNK, HEAD - total)
    at = (total - HEAD) % RING
    return HEADER + HEAD + at, min(CHUNK, RING - at)
