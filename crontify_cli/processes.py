"""Processes: who one is, whether it still runs, and the standard streams of our own.

A pid is reused, so it is only valid together with the process's start time, and that only
within one boot. Loaded before the job starts.
"""

import os
import time

from crontify_cli.state import NEW, Folder, state_dir

_MACHINE_ID = "machine-id"


def boot_id() -> str:
    """Return the id of this boot; empty on systems without one (Linux has it)."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def namespace() -> str:
    """Return the name of our PID namespace, `pid:[4026531836]`; empty without /proc."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def start_time(pid: int) -> int:
    """Return when `pid` started, in clock ticks since boot; 0 if that is unknown."""
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 else 0


def is_alive(pid: int, started: int) -> bool | None:
    """Tell whether the process `pid` that started at `started` in this boot is running.

    A zombie is not running. If the start time is unknown (0), only the pid is compared.
    None if there is such a process, but without /proc nobody can tell whether it is that one.
    """
    if pid <= 0:
        return False
    fields = _stat(pid)
    if len(fields) > 19:
        return fields[0] not in "ZX" and (not started or int(fields[19]) == started)
    if os.path.exists("/proc/self/stat"):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return None


def carries(name: str, value: str) -> bool:
    """Tell whether a process was started with `name=value` in its environment.

    Processes of other users cannot be inspected and are ignored; without /proc, all are.
    """
    wanted = os.fsencode(f"{name}={value}")
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if wanted in environ.read().split(b"\0"):
                    return True
        except OSError:
            continue  # it has ended, or belongs to another user
    return False


def descendants(pid: int) -> list[int]:
    """Return the pids of the children of `pid`, of their children, and so on.

    Empty without /proc.
    """
    parents = {child: int(fields[1]) for child, fields in _all_stats()}
    found = [pid]
    for ancestor in found:  # the loop appends to the list
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def is_group_alive(group: int) -> bool:
    """Tell whether any process of the process group is running.

    kill(2) alone would count zombies, and PID 1 of a container may never reap them.
    """
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    if not os.path.exists("/proc/self/stat"):
        return True
    return any(int(fields[2]) == group and fields[0] not in "ZX" for _, fields in _all_stats())


def identity() -> str:
    """Return a text that identifies this process, for `is_holder_alive`.

    It holds pid, start time, boot id, PID namespace and machine id.
    """
    pid = os.getpid()
    return f"{pid} {start_time(pid)} {boot_id()} {namespace()} {machine_id()}"


def is_holder_alive(name: str) -> bool | None:
    """Tell whether the process that `identity` described is running.

    None if that cannot be known, as for a process on another machine or in another PID
    namespace, or without /proc. Previous versions wrote no machine id.
    """
    pid, started, boot, holders, machine, *_ = [*name.split(" "), "", "", "", ""]
    if machine and machine != machine_id():
        return None
    if not (pid.isdigit() and started.isdigit()) or boot != boot_id():
        return False
    if holders != namespace():
        return None
    return is_alive(int(pid), int(started))


def machine_id() -> str:
    """Return the id of this installation, as in machine-id(5).

    Without one, as in many containers, it is the id that `keep_machine_id` made; empty if
    that does not exist either.
    """
    if found := system_machine_id():
        return found
    try:
        with Folder(state_dir()) as state:
            fd = state.open(_MACHINE_ID, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(fd, 100).decode("ascii", "replace").strip()
    finally:
        os.close(fd)


def system_machine_id() -> str:
    """Return the id in machine-id(5); empty without one."""
    found = _read("/etc/machine-id").strip()
    return "" if found == "uninitialized" else found


def keep_machine_id() -> str:
    """Return `machine_id`; if there is none, make one and keep it in the state directory.

    Raises OSError.
    """
    if found := machine_id():
        return found
    scratch = f"{_MACHINE_ID}.new-{os.urandom(4).hex()}"
    with Folder(state_dir()) as state:
        fd = state.open(scratch, NEW)
        try:
            os.write(fd, f"{os.urandom(16).hex()}\n".encode())
            # Unlike a rename, it never replaces an id that is in use.
            os.link(scratch, _MACHINE_ID, src_dir_fd=state.fd, dst_dir_fd=state.fd)
        except FileExistsError:
            pass
        finally:
            os.close(fd)
            state.unlink(scratch)
    return machine_id()


def seconds_alive(started: int) -> float | None:
    """Return how long ago a process started, by a clock that nobody sets; None if unknown.

    started: in clock ticks since this boot, as `start_time` returns it.
    """
    if not started or not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return max(0.0, now - started / os.sysconf("SC_CLK_TCK"))


def _all_stats() -> "list[tuple[int, list[str]]]":
    """Return the pid and `_stat` fields of every running process."""
    stats = ((pid, _stat(pid)) for pid in _pids())
    return [(pid, fields) for pid, fields in stats if len(fields) > 2]


def _pids() -> list[int]:
    try:
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    """Return the fields of proc_pid_stat(5) from the third on, the state.

    The second field, the name, is skipped because it may contain spaces and brackets.
    """
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096).decode("utf-8", "replace")
    except OSError:
        return ""


def open_standard_streams() -> None:
    """Open /dev/null on each of the descriptors 0, 1 and 2 that is closed.

    Otherwise the next file that we open would become a standard stream.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
