"""The record of a running job: the layout of the file, and how to read it.

The wrapper writes it (`job/recorder.py`), and any process may read it: while the job
runs, after the wrapper was killed, or after the machine went down. Its path below the
state directory is `live/RUN-MONITOR.rec`, and it consists of

    0       the header: numbers at fixed offsets, then texts separated by NUL
    4 KiB   the head: the first 64 KiB of the output
    68 KiB  the ring buffer: the output after the head; new bytes overwrite the oldest

The wrapper holds a POSIX lock on the whole file while it runs, so that other processes
notice when it has died, even from another PID namespace. A process that reports the run
of a dead wrapper locks everything except the first byte, and so is not mistaken for the
wrapper. A wrapper that was killed may have written one chunk to the ring without
counting it. That is why only 960 KiB of the ring, its size less one chunk, are read.
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
"""How many bytes after the head can be read, the newest ones."""

# The numbers in the header, as indices of unsigned 64-bit words.
AT_VERSION, AT_TOTAL, AT_WRAPPER, AT_WRAPPER_START, AT_JOB, AT_JOB_START = range(1, 7)
AT_STARTED, AT_STATE, AT_EXIT_CODE, AT_ENDED, AT_TEXT, AT_REDACT, AT_NO_LOG = range(7, 14)
BOOT_ID_AT, TEXT_AT = 128, 192

RUNNING, SUCCEEDED, FAILED = range(3)
"""States: still running, or what the wrapper decided."""

SUFFIX, META_SUFFIX = ".rec", ".meta"


def live_dir(state: str) -> str:
    """Return the directory of the records."""
    return os.path.join(state, "live")


def file_name(run: str, monitor: str) -> str:
    """Return the file name of a record. Run ids have no hyphen, so it can be split again."""
    return f"{run}-{monitor}{SUFFIX}"


def is_written(fd: int) -> bool:
    """Tell whether the wrapper that writes the open record, another process, is running."""
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        os.lockf(fd, os.F_TEST, 1)
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

    run, monitor, command: texts; a command line that is too long for the header is cut.
    redact, no_log: the values of these flags; no_log is None if it was not given, and True
        if the patterns were too long for the header.
    wrapper, job: (pid, start time in clock ticks since boot). The job's pid is 0 until it
        is written here just after the spawn; an unknown start time is 0.
    boot_id, namespace: the boot and the PID namespace of these pids.
    started, ended: nanoseconds since the epoch; ended is 0 while the job runs.
    state, exit_code: what the wrapper decided after the job's end.
    total: bytes of output so far. head and tail are those that are kept, and dropped is
        the number of bytes missing between them.
    """

    def __init__(self, data: "bytes | memoryview") -> None:
        """Parse the content of the file; raises ValueError if it is not a valid record."""
        view = memoryview(data)
        if len(view) < SIZE or view[:8] != MAGIC:
            raise ValueError("not a record")
        words = view[:HEADER].cast("Q")
        if words[AT_VERSION] != VERSION:
            raise ValueError(f"record version {words[AT_VERSION]}, expected {VERSION}")
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
            raise ValueError("record without a run id")
        patterns = words[AT_REDACT]
        self.run, self.monitor = fields[:2]  # fields[2] is the working directory
        self.redact, self.command = fields[3 : 3 + patterns], fields[3 + patterns :]
        self.no_log = (None, True, False)[min(words[AT_NO_LOG], 2)]
        if patterns and not self.command:
            self.no_log = True
        self.head = bytes(view[HEADER : HEADER + min(self.total, HEAD)])
        self.tail = read_tail(view, self.total, max(0, self.total - HEAD))
        self.dropped = self.total - len(self.head) - len(self.tail)


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
