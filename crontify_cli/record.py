"""The file of a run that is going on: its layout, and how to read one.

A wrapper writes it (`job/recorder.py`) and any other process may read it: while
the job runs, after the wrapper was killed, after the host went down. It stands in
the state directory as `live/RUN-MONITOR.rec`:

    0      the header: numbers at fixed places, then texts separated by NUL
    4 KiB  the head: the first 64 KiB of the output
    68 KiB the ring: what came after the head, the newest byte overwriting the oldest

The wrapper holds a POSIX lock on the whole file as long as it lives, so that its death
shows at once, even from another PID namespace. Who reports a dead one's run locks all
but the first byte meanwhile, and is not taken for a wrapper. The writer may have put one more
chunk into the ring than it has counted when it was killed, so a chunk's width of
the ring is not to be read: 960 KiB of it are.
"""

import os

MAGIC = b"crontrec"
VERSION = 1
CHUNK = 128 * 1024
HEADER = 4096
HEAD = 64 * 1024
RING = 960 * 1024 + CHUNK
SIZE = HEADER + HEAD + RING
TAIL = RING - CHUNK
"""How many of the newest bytes behind the head can be read."""

# Places of the header's numbers, as indices of unsigned 64-bit words.
AT_VERSION, AT_TOTAL, AT_WRAPPER, AT_WRAPPER_START, AT_JOB, AT_JOB_START = range(1, 7)
AT_STARTED, AT_STATE, AT_EXIT_CODE, AT_ENDED, AT_TEXT, AT_REDACT, AT_NO_LOG = range(7, 14)
BOOT_ID_AT, TEXT_AT = 128, 192

RUNNING, SUCCEEDED, FAILED = range(3)
"""States: the outcome is open, or was judged by the wrapper."""

SUFFIX, META_SUFFIX = ".rec", ".meta"


def live_dir(state: str) -> str:
    """Return the folder of the records of runs that are going on."""
    return os.path.join(state, "live")


def file_name(run: str, monitor: str) -> str:
    """Return a record's name: run ids have no hyphen, so the monitor can be read back."""
    return f"{run}-{monitor}{SUFFIX}"


def is_written(fd: int) -> bool:
    """Tell whether the wrapper of the record that is open as `fd`, another process, lives."""
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        os.lockf(fd, os.F_TEST, 1)
    except OSError:
        return True
    return False


def take_over(fd: int) -> bool:
    """Lock the record of a dead wrapper; False if it lives, or another process was faster."""
    os.lseek(fd, 1, os.SEEK_SET)
    try:
        os.lockf(fd, os.F_TLOCK, 0)
    except OSError:
        return False
    return True


class Record:
    """What a record's file says at the moment of reading.

    run, monitor, cwd, command: texts; a command line too long for the header is cut.
    redact, no_log: what the flags of those names said of the log; no_log is None where there
        was none, and True where the patterns were too long for the header.
    wrapper, job: (pid, start time in clock ticks since boot); the job's pid is 0 in the
        instant between the spawn and its note here, a start time is 0 where unknown.
    boot_id, namespace: the boot and the PID namespace that those belong to.
    started, ended: nanoseconds since the epoch; ended is 0 while the job runs.
    state, exit_code: the wrapper's judgement, once it made one.
    total: bytes of output so far. head and tail are what is kept of them, `dropped`
        is how many lie between the two.
    """

    __slots__ = (
        "boot_id",
        "command",
        "cwd",
        "dropped",
        "ended",
        "exit_code",
        "head",
        "job",
        "monitor",
        "namespace",
        "no_log",
        "redact",
        "run",
        "started",
        "state",
        "tail",
        "total",
        "wrapper",
    )

    def __init__(self, data: "bytes | memoryview") -> None:
        """Read the file's content. Raises ValueError if it is not a record of this version."""
        view = memoryview(data)
        if len(view) < SIZE or view[:8] != MAGIC:
            raise ValueError("not a record of a run")
        words = view[:HEADER].cast("Q")
        if words[AT_VERSION] != VERSION:
            raise ValueError(f"a record of version {words[AT_VERSION]}, not {VERSION}")
        self.total = words[AT_TOTAL]
        self.wrapper = words[AT_WRAPPER], words[AT_WRAPPER_START]
        self.job = words[AT_JOB], words[AT_JOB_START]
        self.started, self.ended = words[AT_STARTED], words[AT_ENDED]
        self.state, self.exit_code = words[AT_STATE], words[AT_EXIT_CODE]
        origin = bytes(view[BOOT_ID_AT:TEXT_AT]).rstrip(b"\0").decode("ascii", "replace")
        self.boot_id, _, self.namespace = origin.partition(" ")
        text = bytes(view[TEXT_AT : TEXT_AT + min(words[AT_TEXT], HEADER - TEXT_AT)])
        fields = text.decode("utf-8", "surrogateescape").split("\0")
        if len(fields) < 3:
            raise ValueError("a record without a run's name")
        patterns = words[AT_REDACT]
        self.run, self.monitor, self.cwd = fields[:3]
        self.redact, self.command = fields[3 : 3 + patterns], fields[3 + patterns :]
        self.no_log = (None, True, False)[min(words[AT_NO_LOG], 2)]
        if patterns and not self.command:
            self.no_log = True
        self.head = bytes(view[HEADER : HEADER + min(self.total, HEAD)])
        self.tail = read_tail(view, self.total, max(0, self.total - HEAD))
        self.dropped = self.total - len(self.head) - len(self.tail)


def read_tail(view: memoryview, total: int, wanted: int) -> bytes:
    """Return the newest `wanted` bytes of the ring, or as many as it surely holds."""
    count = min(wanted, TAIL, max(0, total - HEAD))
    ring = view[HEADER + HEAD : HEADER + HEAD + RING]
    end = (total - HEAD) % RING if total > HEAD else 0
    if count <= end:
        return bytes(ring[end - count : end])
    return bytes(ring[RING - (count - end) :]) + bytes(ring[:end])


def room(total: int) -> tuple[int, int]:
    """Return the offset where the next bytes go, and how many fit there in one piece."""
    if total < HEAD:
        return HEADER + total, min(CHUNK, HEAD - total)
    at = (total - HEAD) % RING
    return HEADER + HEAD + at, min(CHUNK, RING - at)
