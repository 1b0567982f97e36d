"""Records a run in memory and, as it goes on, in a file that survives this process.

The file is made, filled to its size on disk and locked before the spawn. It is written
with pwrite and never mapped: an access to a mapping whose file was truncated, or whose
disk failed, would kill this process with SIGBUS, and the job with SIGPIPE.
"""

import os
import time

from crontify_cli import record
from crontify_cli.errors import in_words
from crontify_cli.processes import boot_id, keep_machine_id, machine_id, namespace, start_time
from crontify_cli.state import NEW, Folder, open_file, remove_file, state_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SYNC_AFTER = 0.5
"""Seconds after the spawn at which the record is synced to disk: most runs are over by then."""


class Recorder:
    """The record of one run.

    run: its local id, 12 hexadecimal digits.
    path: the record's file, None where there is none; `problem` then says why.
    problem: what is wrong with the file, None for nothing. One that could not be filled, as on
        a full disk, lacks the output, or everything but its name.
    meta_path: the private file for the job's numbers, None where there is none.
    total: bytes of output so far.
    job: its pid and start time in clock ticks; 0, 0 before `begin` and without one.
    """

    def __init__(
        self,
        monitor: str,
        command: "Sequence[str]",
        redact: "Sequence[str]" = (),
        no_log: bool | None = None,
        rules: str = "",
    ) -> None:
        self.run = os.urandom(6).hex()
        self.path: str | None = None
        self.meta_path: str | None = None
        self.problem: str | None = None
        self.total = 0
        self.job = 0, 0
        self._began = time.monotonic_ns()
        self._fd = -1
        self._is_behind = False
        self._written = 0
        self._secrets = b""
        self._monitor = monitor
        self._redact, self._command = redact, command
        self._header = self._first_header(rules)
        if no_log is not None:
            self._put(record.AT_NO_LOG, 1 if no_log else 2)
        self._memory = memoryview(b"")
        try:
            self._create(state_dir())
        except (OSError, ValueError) as error:
            self.problem = in_words(error)

    # Before the spawn

    def _first_header(self, rules: str) -> bytearray:
        header = self._header = bytearray(record.HEADER)
        header[:8] = record.MAGIC
        self._machine = machine_id()
        self._put_origin()
        self._put_text(rules)
        self._put(record.AT_VERSION, record.VERSION)
        self._put(record.AT_WRAPPER, os.getpid())
        self._put(record.AT_STARTED, time.time_ns())
        self._put(record.AT_REDACT, len(self._redact))
        return header

    def _put_origin(self) -> None:
        origin = f"{boot_id()} {namespace()} {self._machine}".encode()
        origin = origin[: record.TEXT_AT - record.ORIGIN_AT]
        self._header[record.ORIGIN_AT : record.ORIGIN_AT + len(origin)] = origin

    def _put_text(self, rules: str) -> None:
        fields = (self.run, self._monitor, rules, *self._redact, *self._command)
        text = os.fsencode("\0".join(fields))[: record.HEADER - record.TEXT_AT]
        self._header[record.TEXT_AT : record.TEXT_AT + len(text)] = text
        self._put(record.AT_TEXT, len(text))

    def _put(self, index: int, value: int) -> None:
        self._header[index * 8 : index * 8 + 8] = record.word(value)

    def _create(self, state: str) -> None:
        try:
            live = Folder(state, record.LIVE)
        except FileNotFoundError:
            live = Folder(state, record.LIVE, create=True)
        with live:
            name = record.file_name(self.run, self._monitor)
            fd = live.open(name, NEW)
            try:
                # Never close a descriptor of this file in this process: that would end the lock.
                os.lockf(fd, os.F_TLOCK, 0)
            except OSError:
                os.close(fd)
                live.unlink(name)
                raise
            # On a full disk the file may stay empty, but its name and its lock tell of the run.
            self._fd, self.path = fd, os.path.join(live.path, name)
            self._fill()
            os.close(live.open(record.meta_path(name), NEW))
            self.meta_path = record.meta_path(self.path)

    def _fill(self) -> None:
        if not self._write(self._header, 0):
            os.ftruncate(self._fd, 0)
            return
        try:
            _allocate(self._fd)
        except OSError as error:
            self.problem, self._is_behind = in_words(error), True
            os.ftruncate(self._fd, record.HEADER)

    # While the job runs

    def begin(self, job: int) -> None:
        """Be ready to record, once the spawn is done; `job` is its pid, 0 if it failed."""
        import mmap

        # Nameless memory, of which only what is used is ever taken from the system.
        self._memory = memoryview(mmap.mmap(-1, record.SIZE))
        self._put(record.AT_WRAPPER_START, start_time(os.getpid()))
        self.job = job, start_time(job) if job else 0
        self._put(record.AT_JOB, self.job[0])
        self._put(record.AT_JOB_START, self.job[1])
        if not self._machine:
            self._make_machine_id()
        self._write_header()

    def _make_machine_id(self) -> None:
        try:
            self._machine = keep_machine_id()
        except OSError:
            return  # no state directory, so there is nothing to share with another machine
        self._put_origin()

    def sync_soon(self) -> None:
        """Sync the record to disk in a moment, in a thread that nobody waits for."""
        if self._fd < 0:
            return
        import _thread

        try:
            _thread.start_new_thread(self._sync_later, ())
        except RuntimeError:
            pass  # too many threads: a crash of the host may cost the record

    def _sync_later(self) -> None:
        time.sleep(SYNC_AFTER)
        try:
            getattr(os, "fdatasync", os.fsync)(self._fd)  # macOS has no fdatasync
        except OSError:
            pass  # the next write says so

    def read_from(self, fd: int) -> memoryview:
        """Read what `fd` has, at most a chunk, into the record; return the bytes there.

        Empty at the end of file. The view is valid until a ring's length later.
        """
        at, width = record.room(self.total)
        count = os.readv(fd, [self._memory[at : at + width]])
        data = self._memory[at : at + count]
        if count:
            try:
                self._add(data, at)
            except Exception as error:  # what was read has to be passed on
                self.problem = self.problem or repr(error)
        return data

    def write(self, data: bytes) -> None:
        """Write output into the record, from memory."""
        while data:
            at, width = record.room(self.total)
            piece, data = data[:width], data[width:]
            self._memory[at : at + len(piece)] = piece
            self._add(self._memory[at : at + len(piece)], at)

    def skip(self, count: int) -> None:
        """Count output that is not written; what follows must be as long as a record can keep."""
        if self._written == self.total:
            self._written += count
        self.total += count

    def _add(self, data: memoryview, at: int) -> None:
        is_gapless = self._written == self.total
        self.total += len(data)
        # In this order, and before it is passed on: what was relayed can be read back.
        if is_gapless and self._write(data, at):
            self._written = self.total
            self._write(record.word(self.total), record.AT_TOTAL * 8)

    def note_secrets(self, secrets: "Sequence[str]") -> None:
        """Write down the secrets of the job's environment. Called by another thread."""
        self._secrets = record.secrets_text(secrets)
        self._write(self._secrets, record.SIZE)

    # How far the run has come; each step is written as soon as it is known

    def note_ended(self, status: int, *, timed_out: bool) -> None:
        """Write down how the job ended; `status` is its wait status. Safe in a handler."""
        self._put(record.AT_STATUS, status + 1)
        self._put(record.AT_FLAGS, record.TIMED_OUT if timed_out else 0)
        self._put_end()
        self._note(record.ENDED)

    def ensure_ended(self, status: int, *, timed_out: bool) -> None:
        """Write down again how the job ended, where writing it may have failed."""
        if self._header[record.AT_STATE * 8] == record.RUNNING:
            self.note_ended(status, timed_out=timed_out)
        else:
            self._write_header()

    def note_failed_spawn(self, exit_code: int, problem: str) -> None:
        """Write down that there was no job and why, with the exit code of `exec`."""
        self._put_text(problem)
        self._put(record.AT_FLAGS, record.NOT_STARTED)
        self._put_end()
        self.note_judged(False, exit_code)

    def note_ping(self, succeeded: bool, words: str) -> None:
        """Write down the outcome of a job that ran elsewhere, and what is reported of it."""
        self._put_text(words)
        self._put(record.AT_FLAGS, record.PING)
        self._put_end()
        self.note_judged(succeeded, 0)

    def _put_end(self) -> None:
        # Both by the clock as it is now: it may have been set while the job ran.
        now = time.time_ns()
        self._put(record.AT_STARTED, max(0, now - (time.monotonic_ns() - self._began)))
        self._put(record.AT_ENDED, now)

    def note_judged(self, succeeded: bool, exit_code: int) -> None:
        """Write down how the run was judged, and the exit code of `exec`."""
        self._put(record.AT_EXIT_CODE, exit_code)
        self._note(record.SUCCEEDED if succeeded else record.FAILED)

    def note_stored(self) -> None:
        """Write down that the journal has the outcome and its report."""
        self._note(record.STORED)

    def note_reported(self) -> bool:
        """Write down that the server has the report, next to the record if need be.

        Return False if the disk takes neither.
        """
        self._put(record.AT_STATE, record.REPORTED)
        if self._write_header():
            return True
        if not self.path:
            return False
        try:
            fd = open_file(record.sent_path(self.path), NEW)
            is_whole = os.write(fd, self._header) == record.HEADER
            os.close(fd)
        except OSError:
            return False
        return is_whole

    def _note(self, state: int) -> None:
        self._put(record.AT_STATE, state)
        self._write_header()

    def _write_header(self) -> bool:
        self._put(record.AT_TOTAL, self._written)
        return self._write(self._header, 0)

    def _write(self, data: "bytes | bytearray | memoryview", at: int) -> bool:
        """Write to the file, if there is one; False if it did not take everything."""
        if self._fd < 0:
            return False
        try:
            if os.pwrite(self._fd, data, at) == len(data):
                return True
            problem = "No space left on device"
        except OSError as error:  # EIO, ENOSPC on a copy-on-write file system, ESTALE, EPERM
            problem = error.strerror or str(error)
        self.problem = self.problem or problem
        self._is_behind = True
        return False

    # At the end

    def content(self) -> record.Record:
        """Return the record as a reader would see it."""
        self._put(record.AT_TOTAL, self.total)
        self._memory[: record.HEADER] = self._header
        return record.Record(self._memory)

    def keep(self) -> bool:
        """Leave the record on disk, synced, to whoever recovers the run; False if that failed.

        A record that could not be made before the spawn, or is gone, is made now. What was not
        used of the file is given back, since many may be left. If the disk does not take the
        output, how the run ended is left all the same.
        """
        try:
            if self._fd < 0 or not os.fstat(self._fd).st_nlink:
                self._create_late(state_dir())
            else:
                if self._is_behind:
                    self._rewrite()
                os.ftruncate(self._fd, len(self._used()))
                os.pwrite(self._fd, self._secrets, record.SIZE)  # after a hole, which is free
                os.fsync(self._fd)
        except (OSError, ValueError):
            return self._fd >= 0 and self._write_header() and self._sync()
        return True

    def _rewrite(self) -> None:
        used = self._used()
        if os.pwrite(self._fd, used, 0) < len(used):
            raise OSError("the disk is full")
        self._written = self.total

    def _sync(self) -> bool:
        try:
            os.fsync(self._fd)
        except OSError:
            return False
        return True

    def _used(self) -> memoryview:
        used = record.HEADER + self.total if self.total <= record.HEAD else record.SIZE
        self._put(record.AT_TOTAL, self.total)
        self._memory[: record.HEADER] = self._header
        return self._memory[:used]

    def _create_late(self, state: str) -> None:
        """Make the whole record at once, under its name only when it is on disk.

        It needs neither locks nor much space.
        """
        name = record.file_name(self.run, self._monitor)
        scratch = name.removesuffix(record.SUFFIX) + record.SCRATCH
        with Folder(state, record.LIVE, create=True) as live:
            fd = live.open(scratch, NEW)
            try:
                try:
                    os.lockf(fd, os.F_TLOCK, 0)
                except OSError:
                    pass  # others see by its pid that this process lives
                content = self._used()
                if os.pwrite(fd, content, 0) < len(content):
                    raise OSError("the disk is full")
                os.pwrite(fd, self._secrets, record.SIZE)
                os.fsync(fd)
                live.rename(scratch, name)
                os.fsync(live.fd)
            except OSError:
                os.close(fd)
                live.unlink(scratch)
                raise
            self._fd, self.path = fd, os.path.join(live.path, name)

    def discard(self) -> None:
        """Remove the record's files: nothing more is to be reported from them."""
        for path in (self.path, self.meta_path):
            if path:
                try:
                    remove_file(path)
                except OSError:
                    pass  # its state tells recovery that there is nothing to do


def _allocate(fd: int) -> None:
    """Reserve the space of a record that has only its header, so that no full disk cuts it short.

    macOS and OpenBSD have no posix_fallocate, and file systems may not support it: ZFS on
    FreeBSD, and on musl whatever the kernel cannot do. There the space is filled with zeros.
    """
    try:
        os.posix_fallocate(fd, 0, record.SIZE)
        return
    except AttributeError:
        pass
    except OSError as error:
        import errno

        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    at = record.HEADER
    while at < record.SIZE:
        at += os.pwrite(fd, bytes(record.SIZE - at), at)
