"""Where crontabs are: reads them, and replaces them so that the old or the new one stands, whole.

A user's crontab goes through crontab(1). A file is replaced by rename(2), with its name, mode
and owner.
"""

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from crontify_cli.crontab.schedule import Dialect
from crontify_cli.errors import CrontifyError, in_words, one_line

SYSTEM_FILE, SYSTEM_FOLDER = "/etc/crontab", "/etc/cron.d"
_SECONDS = 60.0
_DAEMON_PATH = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"


class Place(NamedTuple):
    """One crontab: a file, or that of a user.

    path: None for a user's. user: whose, None for the caller's own; for a file None.
    system: whether its jobs have a user column.
    """

    path: str | None
    user: str | None = None
    system: bool = False

    @property
    def label(self) -> str:
        """What the crontab is called: its path, or `USER's crontab`."""
        return self.path or f"{self.user or caller()}'s crontab"


def caller() -> str:
    """Return the name of the user who runs this process, or the number."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def system_places() -> list[Place]:
    """Return `/etc/crontab` and the files of `/etc/cron.d`, those that cron ignores among them."""
    found = [SYSTEM_FILE] if os.path.exists(SYSTEM_FILE) else []
    with contextlib.suppress(FileNotFoundError):
        names = sorted(os.listdir(SYSTEM_FOLDER))
        paths = [os.path.join(SYSTEM_FOLDER, name) for name in names if name != ".placeholder"]
        found += [path for path in paths if os.path.isfile(path)]
    return [Place(path, None, True) for path in found]


def find_dialect() -> Dialect:
    """Return which daemon this machine has; debian if none is found."""
    if shutil.which("cronnext", path=_DAEMON_PATH):
        return "cronie"  # a program that only cronie has
    if shutil.which("cron", path=_DAEMON_PATH):
        return "debian"
    crond = shutil.which("crond", path=_DAEMON_PATH)
    if not crond:
        return "debian"
    return "busybox" if "busybox" in os.path.basename(os.path.realpath(crond)) else "cronie"


# Reading


def read(place: Place) -> bytes:
    """Return a crontab's bytes; a user without one has an empty one. Raises CrontifyError."""
    if place.path is None:
        return _list(place)
    try:
        with open(place.path, "rb") as file:
            return file.read()
    except OSError as error:
        raise CrontifyError(f"{place.path}: {error.strerror}") from None


def _list(place: Place) -> bytes:
    done = _crontab(place, "-l")
    if done.returncode == 0:
        return done.stdout
    words = _words(done.stderr)
    if "no crontab for" in words or "can't open" in words:  # Vixie's words, and busybox's
        return b""
    raise CrontifyError(f"{place.label}: crontab -l failed: {words or _ended(done.returncode)}")


def _crontab(
    place: Place, *args: str, data: bytes | None = None
) -> "subprocess.CompletedProcess[bytes]":
    who = ["-u", place.user] if place.user and place.user != caller() else []
    try:
        return subprocess.run(
            ["crontab", *who, *args],
            input=data or b"",
            capture_output=True,
            timeout=_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError:
        raise CrontifyError(
            f"{place.label}: there is no crontab(1) here; install cron, or name a FILE"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CrontifyError(f"{place.label}: crontab: {in_words(error)}") from None


def _words(stderr: bytes) -> str:
    return one_line(" ".join(stderr.decode("utf-8", "replace").split()), 300)


def _ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


@lru_cache
def is_user(word: bytes) -> bool:
    """Tell whether a user of this machine has this name."""
    try:
        pwd.getpwnam(word.decode())
    except (KeyError, ValueError):
        return False
    return True


@lru_cache(maxsize=4096)
def finds(program: bytes, path: bytes) -> bool:
    """Tell whether a program, a name or an absolute path, is found with a PATH."""
    return shutil.which(os.fsdecode(program), path=os.fsdecode(path)) is not None


def is_only_user(word: bytes) -> bool:
    """Tell whether a word is the name of a user, and of no program that cron would find."""
    return b"/" not in word and is_user(word) and not finds(word, b"/usr/bin:/bin:/usr/sbin:/sbin")


# Writing


def has_other_links(place: Place) -> bool:
    """Tell whether a file has more than one hard link: the others keep what is replaced."""
    with contextlib.suppress(OSError):
        return place.path is not None and os.stat(place.path).st_nlink > 1
    return False


def dry_run(place: Place, data: bytes, dialect: Dialect) -> str:
    """Return what Debian's `crontab -n` says against a crontab; "" without one, or without -n."""
    if place.system or dialect != "debian" or shutil.which("crontab") is None:
        return ""
    # cronie's -n sets the host of a cluster: only a crontab that calls it a dry run is asked.
    usage = subprocess.run(
        ["crontab", "-h"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if not re.search(rb"-n\b.*dry run", usage.stderr + usage.stdout):
        return ""
    done = _crontab(Place(None), "-n", "-", data=data)
    return _words(done.stderr) or "it is refused" if done.returncode else ""


def write(place: Place, before: bytes, after: bytes) -> None:
    """Replace a crontab, and read it back; what was there is restored if that fails.

    Raises CrontifyError, also if the crontab is no longer `before`.
    """
    if place.path is None:
        _check_unchanged(place, before)
        _install(place, after)
    else:
        _replace(place.path, before, after)
    if read(place) == after:
        return
    if place.path is None:
        _install(place, before)
    else:
        _replace(place.path, read(place), before)
    raise CrontifyError(
        f"{place.label}: what was read back differs from what was written; the old one is restored"
    )


def _check_unchanged(place: Place, before: bytes) -> None:
    if read(place) != before:
        raise CrontifyError(f"{place.label} has changed in the meantime; nothing was written")


def _install(place: Place, data: bytes) -> None:
    done = _crontab(place, "-", data=data)
    if done.returncode:
        words = _words(done.stderr) or _ended(done.returncode)
        raise CrontifyError(f"{place.label}: crontab refused the new one: {words}")


def _replace(path: str, before: bytes, after: bytes) -> None:
    real = os.path.realpath(path)  # a symbolic link stays one
    error: OSError | None = None
    for folder in _scratch_folders(os.path.dirname(real)):
        try:
            _replace_from(folder, Place(real), before, after)
            return
        except OSError as failure:
            error = failure
    raise CrontifyError(f"{path}: cannot be replaced: {error.strerror if error else ''}") from error


def _scratch_folders(folder: str) -> Iterator[str]:
    """Yield where the new file may be written before it is renamed.

    rename(2) needs the same file system, and cronie runs every file in /etc/cron.d whose name
    does not end in `~`. So the folder above is tried first. Where that one is another file
    system or mount, the name alone has to do: all daemons ignore it. Debian's cron and dcron
    do not take a name with a dot in it, cronie does not take one that ends in `~`.
    """
    if os.path.basename(folder) == "cron.d":
        yield os.path.dirname(folder)
    yield folder


def _replace_from(folder: str, place: Place, before: bytes, after: bytes) -> None:
    """Replace a file through a scratch file in `folder`. Raises OSError and CrontifyError."""
    real = place.path or ""
    scratch = os.path.join(folder, f".{os.path.basename(real)}.crontify~")
    # One name for all: what a killed process leaves is used again, and a lock keeps two apart.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(scratch, flags, 0o600)
    try:
        _lock(fd, scratch)
        try:
            _fill(fd, real, after)
            _check_unchanged(place, before)
            os.rename(scratch, real)
        except BaseException:
            os.unlink(scratch)
            raise
    finally:
        os.close(fd)
    _sync_folder(os.path.dirname(real))


def _lock(fd: int, scratch: str) -> None:
    """Make the scratch file ours alone. Raises CrontifyError."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
        raise CrontifyError(f"{scratch} is in the way; remove it")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CrontifyError(f"{scratch} is being written by another crontify") from None
    if os.stat(scratch).st_ino != found.st_ino:
        raise CrontifyError(f"{scratch} was replaced by another crontify; try again")


def _fill(fd: int, real: str, data: bytes) -> None:
    """Write what is to become the file `real`, with its owner, mode and attributes."""
    os.ftruncate(fd, 0)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    model = os.stat(real)
    os.fchown(fd, model.st_uid, model.st_gid)
    for name in os.listxattr(real) if hasattr(os, "listxattr") else ():
        with contextlib.suppress(OSError):  # such as a label that only the system may set
            os.setxattr(fd, name, os.getxattr(real, name))
    os.fchmod(fd, stat.S_IMODE(model.st_mode))
    os.fsync(fd)


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
