"""`crontify` in which one function fails once, as a program of its own.

    FAULTY_TRACE=FILE python tests/job/faulty.py exec …
    FAULTY_AT="MODULE:QUALNAME N ERROR" FAULTY_HIT=FILE python tests/job/faulty.py exec …
    python tests/job/faulty.py SERVE

The first form appends a line `MODULE:QUALNAME` to FILE for each call of a function of
`crontify_cli` after the spawn, in all threads; running a module, as an import does, is a call
of `MODULE:<module>`. A call from there into the system, as of `os.write`, is a line
`MODULE:QUALNAME>posix.write`. The second form raises ERROR in place of the N-th of these calls, and
writes to FAULTY_HIT when (seconds of `time.monotonic()`) and from which functions it was called.

The third form imports everything, then runs a command for each line of JSON on its stdin
(`args`, `env`, `cwd`, `out` and `err`, two files) in a child that has only to fork, and prints
its exit code. A run costs a tenth of the time, but imports nothing that could fail.
"""

import _thread
import builtins
import contextlib
import faulthandler
import json
import os
import pkgutil
import signal
import sys
import time

PATIENCE = 90.0
"""Seconds after which a child is killed."""

_OPTIMIZED = 0x1
"""The flag of a code object that is a function's, and not a module's or a class body's."""

_SYSTEM = ("posix", "_signal", "select", "fcntl", "sqlite3", "_thread", "_queue", "_io")
"""The modules of C functions whose failure is not just a lack of memory."""

_spawned = False
_calls: "dict[str, int]" = {}
_name, _number, _error = "", 0, ""


def _notice_spawn(event, _arguments):
    global _spawned
    if event == "os.posix_spawn":
        _spawned = True


def _qualified(frame):
    """Return `MODULE:QUALNAME` for a frame of crontify_cli, None for any other."""
    code, module = frame.f_code, frame.f_globals.get("__name__") or ""
    if module.partition(".")[0] != "crontify_cli":
        return None
    if not code.co_flags & _OPTIMIZED and code.co_name != "<module>":
        return None  # the body of a class, which is a part of its module
    return f"{module}:{code.co_qualname}"


def _system_call(function):
    """Return `MODULE.NAME` for a C function of the system's, None for any other."""
    module = getattr(function, "__module__", None) or type(function.__self__).__module__
    return f"{module}.{function.__name__}" if module in _SYSTEM else None


def _on_call(frame, event, argument):
    if event not in ("call", "c_call") or not _spawned:
        return
    name = _qualified(frame)
    if name is None or (event == "c_call" and not (callee := _system_call(argument))):
        return
    if event == "c_call":
        name += f">{callee}"
    if trace := os.environ.get("FAULTY_TRACE"):
        _append(trace, name)
    if name != _name:
        return
    count = _calls[name] = _calls.get(name, 0) + 1
    if count == _number:
        stack = []
        while frame := frame.f_back:
            stack.append(_qualified(frame))
        _append(os.environ["FAULTY_HIT"], " ".join([str(time.monotonic()), *filter(None, stack)]))
        raise getattr(builtins, _error)(f"injected into {name}")


def _append(path, line):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def _start_new_thread(function, *arguments):
    """Start a thread as `_thread` does, with our hook in it."""

    def run(*args, **kwargs):
        while sys.getprofile() is not _on_call:
            with contextlib.suppress(RuntimeError):  # another thread is about to set its own
                sys.setprofile(_on_call)
        function(*args, **kwargs)

    return _real_start(run, *arguments)


IN_A_HANDLER = "crontify_cli.job.recorder:Recorder.note_ended"
"""A function that a signal handler calls. The handler may come while our hook runs, and what
is called from a hook is not traced."""


def _fail_in_the_handler():
    """Let the first call of `IN_A_HANDLER` fail."""
    from crontify_cli.job.recorder import Recorder

    real = Recorder.note_ended

    def note_ended(self, *args, **kwargs):
        Recorder.note_ended = real
        _append(os.environ["FAULTY_HIT"], f"{time.monotonic()} {IN_A_HANDLER}")
        raise getattr(builtins, _error)(f"injected into {IN_A_HANDLER}")

    Recorder.note_ended = note_ended


def _run(args):
    """Run `crontify` with these arguments; return its exit code."""
    global _name, _number, _error
    if at := os.environ.get("FAULTY_AT"):
        _name, number, _error = at.split(" ")
        _number = int(number)
    sys.addaudithook(_notice_spawn)
    from crontify_cli.__main__ import main

    if _name == IN_A_HANDLER:
        _name = ""  # once is enough
        _fail_in_the_handler()

    sys.argv[1:] = args
    sys.setprofile(_on_call)
    return main()


def _serve():
    import crontify_cli
    import crontify_cli.cli

    for package in (crontify_cli, crontify_cli.cli):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".sandbox" not in module.name and not module.name.endswith("__main__"):
                __import__(module.name)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            os.chdir(order["cwd"])
            os.environ.clear()
            os.environ.update(order["env"])
            for fd, path in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
                opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                os.dup2(opened, fd)
                os.close(opened)
            faulthandler.enable()
            sys.exit(_run(order["args"]))
        print(_wait(child), flush=True)


def _wait(child):
    """Return the exit code of the child, which is killed if it takes too long."""
    killed_at = time.monotonic() + PATIENCE
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > killed_at:
            os.kill(child, signal.SIGABRT)  # it prints the stacks of its threads
        time.sleep(0.005)


if __name__ == "__main__":
    # As `python -m` from the top of this source tree.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    assert "threading" not in sys.modules, "it keeps a start_new_thread of its own"
    _real_start, _thread.start_new_thread = _thread.start_new_thread, _start_new_thread
    if sys.argv[1:] == ["SERVE"]:
        _serve()
    else:
        sys.exit(_run(sys.argv[1:]))
