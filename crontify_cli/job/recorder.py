"""Records a run into a file that survives us, or into memory where there is no file to be had.

The file is made, filled with its size on disk and locked before the spawn; it is
mapped after it. Preallocated, since a hole met on a full disk would be SIGBUS, and
our death the job's SIGPIPE.
"""

import os
import time

from crontify_cli import record
from crontify_cli.places import state_dir
from crontify_cli.processes import boot_id, namespace, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Sequence


class Recorder:
    """The record of one run.

    run: its local id, 12 hexadecimal digits.
    path: the record's file, None where it is in memory only; `problem` then says why.
    meta_path: the private file for the job's numbers, None where there is none.
    total: bytes of output so far.
    """

    def __init__(
        self,
        monitor: str,
        command: "Sequence[str]",
        redact: "Sequence[str]" = (),
        no_log: bool | None = None,
    ) -> None:
        self.run = os.urandom(6).hex()
        self.path: str | None = None
        self.meta_path: str | None = None
        self.problem: str | None = None
        self.total = 0
        self._fd = -1
        self._header = self._first_header(monitor, command, redact)
        if no_log is not None:
            memoryview(self._header).cast("Q")[record.AT_NO_LOG] = 1 if no_log else 2
        self._mapping: mmap.mmap | None = None
        self.view = memoryview(b"")
        self.words = memoryview(b"")
        try:
            self._create(state_dir(), monitor)
        except (OSError, ValueError) as error:
            self.problem = str(error)

    def _first_header(
        self, monitor: str, command: "Sequence[str]", redact: "Sequence[str]"
    ) -> bytearray:
        header = bytearray(record.HEADER)
        header[:8] = record.MAGIC
        words = memoryview(header).cast("Q")
        words[record.AT_VERSION] = record.VERSION
        words[record.AT_WRAPPER] = os.getpid()
        words[record.AT_STARTED] = time.time_ns()
        boot = f"{boot_id()} {namespace()}".encode()[: record.TEXT_AT - record.BOOT_ID_AT]
        header[record.BOOT_ID_AT : record.BOOT_ID_AT + len(boot)] = boot
        try:
            cwd = os.getcwd()
        except OSError:  # the folder was removed under us
            cwd = ""
        text = os.fsencode("\0".join((self.run, monitor, cwd, *redact, *command)))
        text = text[: record.HEADER - record.TEXT_AT]
        words[record.AT_TEXT], words[record.AT_REDACT] = len(text), len(redact)
        header[record.TEXT_AT : record.TEXT_AT + len(text)] = text
        return header

    def _create(self, state: str, monitor: str) -> None:
        live = record.live_dir(state)
        path = os.path.join(live, record.file_name(self.run, monitor))
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            owner = os.stat(state).st_uid
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError:
            make_private(state)
            make_private(live)
            owner = os.stat(state).st_uid
            fd = os.open(path, flags, 0o600)
        try:
            if owner not in (os.geteuid(), 0):
                # What we left there its owner could not remove, or might replace.
                raise PermissionError(f"{state} belongs to another user (uid {owner})")
            # Never close a descriptor of this file in this process: that would end the lock.
            os.lockf(fd, os.F_TLOCK, 0)
            os.pwrite(fd, self._header, 0)
            os.posix_fallocate(fd, 0, record.SIZE)
        except OSError:
            os.close(fd)
            os.unlink(path)
            raise
        self._fd, self.path = fd, path
        meta_path = path.removesuffix(record.SUFFIX) + record.META_SUFFIX
        os.close(os.open(meta_path, flags, 0o600))
        self.meta_path = meta_path

    def map(self) -> None:
        """Map the record into memory: the file if there is one, else nameless memory.

        To be called after the spawn; the numbers that only matter to others follow here.
        """
        import mmap

        if self.path:
            try:
                self._mapping = mmap.mmap(self._fd, record.SIZE)
            except (OSError, ValueError) as error:
                self.problem = str(error)
        if not self._mapping:
            self._mapping = mmap.mmap(-1, record.SIZE)
            self._mapping[: record.HEADER] = bytes(self._header)
        self.view = memoryview(self._mapping)
        self.words = self.view[: record.HEADER].cast("Q")
        self.words[record.AT_WRAPPER_START] = start_time(os.getpid())

    def note_job(self, pid: int) -> None:
        """Write down which process the job is."""
        self.words[record.AT_JOB] = pid
        self.words[record.AT_JOB_START] = start_time(pid)

    def note_end(self, succeeded: bool, exit_code: int) -> None:
        """Write down how the run was judged, for whoever finds this file if we die now."""
        self.words[record.AT_ENDED] = time.time_ns()
        self.words[record.AT_EXIT_CODE] = exit_code
        self.words[record.AT_STATE] = record.SUCCEEDED if succeeded else record.FAILED

    def read_from(self, fd: int) -> memoryview:
        """Read what `fd` has, at most a chunk, into the record; return the bytes there.

        Empty at the end of file. The view holds good until a ring's length later.
        """
        at, width = record.room(self.total)
        count = os.readv(fd, [self.view[at : at + width]])
        if count:
            self.total += count
            # Counted before it is passed on: what was relayed can be read back.
            self.words[record.AT_TOTAL] = self.total
        return self.view[at : at + count]

    def content(self) -> record.Record:
        """Return the record as a reader would see it."""
        return record.Record(self.view)

    def discard(self) -> None:
        """Remove the record's files: the run is in the journal, or nothing more can be done."""
        for path in (self.path, self.meta_path):
            if path:
                try:
                    os.unlink(path)
                except OSError:
                    pass  # gone already, or read-only by now: recovery knows the run as ended


def make_private(folder: str) -> None:
    """Make `folder` for its owner alone, and its parents, as XDG has it; raises OSError."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        make_private(os.path.dirname(folder))
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass  # another first run was faster
