"""Processes: who one is, whether it is still alive, and the standard streams of our own.

A pid is used again, so it counts only together with the process's start time, and
that only within one boot. Loaded before the spawn.
"""

import os


def boot_id() -> str:
    """Return this boot's id, empty where the system has none (Linux has)."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def start_time(pid: int) -> int:
    """Return when `pid` started, in clock ticks since boot; 0 where it cannot be known.

    Field 22 of proc_pid_stat(5); the second, the name, may hold spaces and brackets.
    """
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else 0


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 4096).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def is_alive(pid: int, started: int) -> bool:
    """Tell whether the process `pid` that started at `started` in this boot still lives.

    A zombie is dead. Without a start time (0) any process of that pid counts.
    """
    if pid <= 0:
        return False
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
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
    return True


def carries(name: str, value: str) -> bool:
    """Tell whether a process that we may look at has `name=value` in its first environment."""
    wanted = os.fsencode(f"{name}={value}")
    try:
        pids = [entry for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return False
    for pid in pids:
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if wanted in environ.read().split(b"\0"):
                    return True
        except OSError:
            continue  # ended meanwhile, or another user's
    return False


def descendants(pid: int) -> list[int]:
    """Return the pids of the children of `pid`, theirs, and so on; empty without /proc."""
    parents = {child: int(fields[1]) for child, fields in _all_stats()}
    found = [pid]
    for ancestor in found:  # grows while it is read
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def is_group_alive(group: int) -> bool:
    """Tell whether a process of that group still runs.

    kill(2) alone would count zombies, and a container's PID 1 may never bury any.
    """
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    if not os.path.exists("/proc/self/stat"):
        return True
    return any(int(fields[2]) == group and fields[0] not in "ZX" for _, fields in _all_stats())


def _all_stats() -> "list[tuple[int, list[str]]]":
    """Return (pid, the fields of its stat from the third on) of all processes; see proc(5)."""
    try:
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return []
    stats = ((pid, _read(f"/proc/{pid}/stat").rpartition(")")[2].split()) for pid in pids)
    return [(pid, fields) for pid, fields in stats if len(fields) > 2]


def identity() -> str:
    """Return a text that names this process, for a lease that should die with it.

    Pid, start time, boot and PID namespace: `is_holder_alive` can tell of a process
    in another namespace only that it does not know.
    """
    pid = os.getpid()
    return f"{pid} {start_time(pid)} {boot_id()} {namespace()}"


def is_holder_alive(name: str) -> bool | None:
    """Tell whether the process that `identity` named lives; None where that cannot be known."""
    pid, _, rest = name.partition(" ")
    started, _, rest = rest.partition(" ")
    boot, _, holders = rest.partition(" ")
    if not (pid.isdigit() and started.isdigit()) or boot != boot_id():
        return False
    if holders != namespace():
        return None
    return is_alive(int(pid), int(started))


def machine_id() -> str:
    """Return the id of this installation, as machine-id(5) has it; empty where there is none."""
    return _read("/etc/machine-id").strip()


def namespace() -> str:
    """Return the name of our PID namespace, `pid:[4026531836]`; empty without /proc."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def open_standard_streams() -> None:
    """Open /dev/null on each of the descriptors 0, 1 and 2 that is closed.

    Otherwise the next file that we open would become a standard stream.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
