"""The gate to the state directory: opens its folders and files only if they are ours.

Everything that uses the state directory goes through here. A folder is opened by descriptor,
and its files relative to it, so that nobody can exchange a part of the path after the check.

Loaded before the job starts.
"""

import os
from stat import S_IMODE, S_ISLNK, S_ISREG

from crontify_cli.errors import CrontifyError
from crontify_cli.places import named_state_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_NO_LINK = os.O_CLOEXEC | os.O_NOFOLLOW
_FOLDER = _NO_LINK | os.O_RDONLY | os.O_DIRECTORY
# On Linux, and on macOS and the BSDs with O_SEARCH, a directory that nobody can list will do.
_STEP = _NO_LINK | os.O_DIRECTORY | getattr(os, "O_PATH", getattr(os, "O_SEARCH", os.O_RDONLY))
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
"""Flags for a file that must not exist yet."""
_OTHERS = 0o022
_MOST_LINKS = 40  # as in Linux: path_resolution(7)
_ADVICE = "set CRONTIFY_STATE_DIR to a directory of your own"


class StateError(CrontifyError, PermissionError):
    """A directory or file cannot be trusted; the message says whose it is and what to do."""


def state_dir() -> str:
    """Return the path of our state directory, which may not exist yet.

    It is the directory that the environment names. If others can write to that one, or it is
    root's and we may write to it, as in a volume of a container, it is `crontify-UID` in it.
    A directory that cannot be trusted is returned as it is: `Folder` says why.

    Raises NoHomeError.
    """
    state = named_state_dir()
    try:
        fd = open_folder(state)
    except OSError:
        return state
    try:
        status, uid = os.fstat(fd), os.geteuid()
        is_private = status.st_uid == uid and not status.st_mode & _OTHERS
        if is_private or status.st_uid not in (uid, 0) or _has_old_journal(fd):
            return state
        own = f"crontify-{uid}"
        can_write = os.access(".", os.W_OK | os.X_OK, dir_fd=fd, effective_ids=True)
        return os.path.join(state, own) if can_write or _exists(own, fd) else state
    finally:
        os.close(fd)


def _has_old_journal(fd: int) -> bool:
    """Tell whether an earlier version, which did not look at the mode, left its journal here.

    To begin another one elsewhere would leave its queue behind.
    """
    journal = _stat("journal.db", fd)
    return journal is not None and journal.st_uid == os.geteuid()


class Folder:
    """An open folder of the state directory, or with no name the directory itself.

    It is ours, and nobody else can write to it. path: for messages and for the job.

    Raises OSError; a StateError if it cannot be trusted.
    """

    def __init__(self, state: str, name: str = "", *, create: bool = False) -> None:
        """create: make the folder, and whatever is missing on the way to it."""
        self.path = os.path.join(state, name) if name else state
        self.fd = -1
        self.fd = self._enter(state, name, create)

    def _enter(self, state: str, name: str, create: bool) -> int:
        try:
            fd = open_folder(state)
        except FileNotFoundError:
            if not create:
                raise
            fd = _walk(state, create=True)
        try:
            _check_folder(state, fd)
            if not name:
                return fd
            inner = self._enter_inner(fd, name, create)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return inner

    def _enter_inner(self, outer: int, name: str, create: bool) -> int:
        if create and not _exists(name, outer):
            _make(name, outer)
        try:
            fd = os.open(name, _FOLDER, dir_fd=outer)
        except NotADirectoryError:
            raise StateError(f"{self.path} is not a directory; remove it") from None
        try:
            _check_folder(self.path, fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the folder; closing it twice does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def open(self, name: str, flags: int) -> int:
        """Open a file of ours, never following a link; a new one has mode 0600.

        Raises OSError; a StateError if the file is not ours alone.
        """
        fd = os.open(name, flags | _NO_LINK | os.O_NONBLOCK, 0o600, dir_fd=self.fd)
        if not flags & os.O_EXCL:
            try:
                status = os.fstat(fd)
                self._check_file(name, status)
                if flags & (os.O_WRONLY | os.O_RDWR) and status.st_nlink > 1:
                    raise StateError(f"{self._path(name)} has other names, too; remove it")
            except BaseException:
                os.close(fd)
                raise
        return fd

    def check(self, name: str, scratch: str = "") -> None:
        """Raise StateError if there is a file of that name, and it is not ours alone.

        For a file that is then opened by its path. scratch: how the names begin that the file
        may have in addition, in this folder, while it is made; "" for none.
        """
        status = self.stat(name)
        if status is None:
            return
        self._check_file(name, status)
        if status.st_nlink > 1:
            making = [each for each in os.listdir(self.fd) if scratch and each.startswith(scratch)]
            found = [other.st_ino for each in making if (other := self.stat(each))]
            now = self.stat(name)
            if 1 + found.count(status.st_ino) < status.st_nlink and now and now.st_nlink > 1:
                raise StateError(f"{self._path(name)} has other names, too; remove it")

    def _check_file(self, name: str, status: os.stat_result) -> None:
        if not S_ISREG(status.st_mode):
            raise StateError(f"{self._path(name)} is not a regular file; remove it")
        if status.st_uid != os.geteuid():
            owner = "root" if status.st_uid == 0 else f"another user (uid {status.st_uid})"
            raise StateError(f"{self._path(name)} belongs to {owner}; remove it")
        if status.st_mode & _OTHERS:
            raise StateError(f"others can write to {self._path(name)}; remove it")

    def stat(self, name: str) -> os.stat_result | None:
        """Return the status of a file, of the link itself if it is one; None if there is none."""
        return _stat(name, self.fd)

    def unlink(self, name: str) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=self.fd)

    def rename(self, old: str, new: str) -> None:
        """Rename a file within the folder."""
        os.rename(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def _path(self, name: str) -> str:
        return os.path.join(self.path, name)


def open_file(path: str, flags: int) -> int:
    """Open the file STATE/FOLDER/NAME as `Folder.open` does."""
    folder, name = os.path.split(path)
    with Folder(*os.path.split(folder)) as opened:
        return opened.open(name, flags)


def remove_file(path: str) -> None:
    """Remove the file STATE/FOLDER/NAME."""
    folder, name = os.path.split(path)
    with Folder(*os.path.split(folder)) as opened:
        opened.unlink(name)


def open_folder(path: str) -> int:
    """Open a directory; a link on the way, or in its place, has to be ours or root's.

    path: absolute. Raises OSError; a StateError for another user's link.
    """
    try:
        fd = os.open(path, _FOLDER)
    except FileNotFoundError:
        raise
    except OSError:
        return _walk(path)  # a link, or else no directory
    try:
        if os.readlink(f"/proc/self/fd/{fd}") == path:
            return fd  # there was no link
    except OSError:
        pass
    os.close(fd)
    return _walk(path)


def _walk(path: str, *, create: bool = False) -> int:
    """Open a directory step by step, following only links that are ours or root's.

    create: make what is missing, for us alone.
    """
    names = path.split("/")[::-1]
    fd, links = os.open("/", _STEP), 0
    try:
        while names:
            if (name := names.pop()) in ("", "."):
                continue
            if create and not _exists(name, fd):
                _make(name, fd)
            step, target = _step(name, fd)
            if step < 0:
                links += 1
                names += target.split("/")[::-1]
                step = os.open("/" if target.startswith("/") else ".", _STEP, dir_fd=fd)
            os.close(fd)
            fd = step
            if links > _MOST_LINKS:
                raise StateError("too many links")
        return os.open(".", _FOLDER, dir_fd=fd)
    except StateError as error:
        raise StateError(f"{path} leads through {error}; {_ADVICE}") from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def _step(name: str, dir_fd: int) -> tuple[int, str]:
    """Return the open entry `name` of a directory, or -1 and where it leads if it is a link."""
    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if not S_ISLNK(status.st_mode):
        return os.open(name, _STEP, dir_fd=dir_fd), ""
    if status.st_uid not in (os.geteuid(), 0):
        raise StateError("a link of another user")
    target = os.readlink(name, dir_fd=dir_fd)
    now = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if (now.st_ino, now.st_ctime_ns) != (status.st_ino, status.st_ctime_ns):
        raise StateError("a link that was replaced just now")
    return -1, target


def _make(name: str, dir_fd: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=dir_fd)
    except FileExistsError:
        pass  # another first run was faster


def _check_folder(path: str, fd: int) -> None:
    status, uid = os.fstat(fd), os.geteuid()
    if status.st_uid == uid:
        if status.st_mode & _OTHERS:
            mode = f"{S_IMODE(status.st_mode):04o}"
            raise StateError(f"others can write to {path} (mode {mode}); run: chmod go-w {path}")
        return
    owner = "root" if status.st_uid == 0 else f"another user (uid {status.st_uid})"
    advice = _ADVICE
    if status.st_uid == 0 and _has_old_journal(fd):
        own = f"crontify-{uid}"
        advice = f"in it, run: mkdir -m 700 {own} && mv journal.db* live logs {own}/"
    raise StateError(f"{path} belongs to {owner}; {advice}")


def _stat(name: str, dir_fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _exists(name: str, dir_fd: int) -> bool:
    return _stat(name, dir_fd) is not None
