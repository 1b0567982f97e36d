"""What an alert says: what happened, and the line that tells why."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crontify_cli.report.compose import cause_of, error_message
from crontify_cli.report.excerpt import units


def telling(stderr: str | bytes) -> str:
    data = stderr.encode() if isinstance(stderr, str) else stderr
    return cause_of(data, lambda text: text)


def stderr_of(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=False).stderr


PYTHON = {
    "raise ValueError('bad row 17')": "ValueError: bad row 17",
    "int('x')": "ValueError: invalid literal for int() with base 10: 'x'",
    "try:\n 1/0\nexcept Exception as e:\n raise OSError('disk') from e": (
        "OSError: disk | ZeroDivisionError: division by zero"
    ),
    "try:\n 1/0\nexcept Exception:\n raise OSError('disk')": (
        "OSError: disk | ZeroDivisionError: division by zero"
    ),
    "raise ValueError('bad\\n  row: 17\\nmore at http://x/error')": "ValueError: bad: row: 17",
    "raise ExceptionGroup('two', [ValueError('a'), OSError('b')])": (
        "ValueError: a | OSError: b | ExceptionGroup: two (2 sub-exceptions)"
    ),
    "def f(n): f(n)\nf(1)": "RecursionError: maximum recursion depth exceeded",
    "x = (": "SyntaxError: '(' was never closed",
    "import sys; sys.exit('no such table')": "no such table",
    "class A:\n def __del__(s): 1/0\na = A()\nimport sys; sys.exit('the end')": "the end",
    "assert False": "AssertionError",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
}


@pytest.mark.parametrize(("program", "line"), PYTHON.items())
def test_of_a_real_python_program_its_exception_is_told(program: str, line: str) -> None:
    assert telling(stderr_of(sys.executable, "-c", program)) == line


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("foo-not-there", "bash: line 1: foo-not-there: command not found"),
        ("set -x; foo-not-there; exit 3", "bash: line 1: foo-not-there: command not found"),
        ("echo one >&2; echo 'rsync: broken pipe (32)' >&2", "rsync: broken pipe (32)"),
        ("echo Error: no space left >&2; echo >&2; echo ----- >&2", "Error: no space left"),
        ("printf 'fatal: \\033[31mred\\033[0m\\r\\n' >&2", "fatal: red"),
    ],
)
def test_of_a_real_shell_script_the_last_telling_line_is_told(script: str, line: str) -> None:
    assert telling(stderr_of("bash", "-c", script)) == line


NODE = """/srv/job.js:1
fs.readFileSync('/nope');
   ^

Error: ENOENT: no such file or directory, open '/nope'
    at Object.openSync (node:fs:573:18)
    at node:internal/main/run_main_module:28:49 {
  errno: -2,
  code: 'ENOENT',
  path: '/nope'
}

Node.js v20.20.2
"""
NODE_BARE = """node:internal/process/promises:288
[UnhandledPromiseRejection: This error originated: reason "late".] {
  code: 'ERR_UNHANDLED_REJECTION'
}

Node.js v18.0.0
"""
JAVA = """Exception in thread "main" java.lang.RuntimeException: cannot save
\tat A.main(A.java:1)
Caused by: java.io.IOException: disk full
\tat A.main(A.java:1)
\t... 1 more
"""
RUST = """
thread 'main' (10968) panicked at r.rs:1:68:
called `Result::unwrap()` on an `Err` value: "bad row 17"
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
RUST_LONG = """thread 'main' panicked at r.rs:1:68:
bad row 17
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/59807616/library/std/src/panicking.rs:689:5
   3: r::main
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
"""
GO = """panic: bad row 17

goroutine 1 [running]:
main.main()
\t/srv/job.go:4 +0x27
exit status 2
"""
RUBY = """job.rb:3:in `foo': bad row 17 (RuntimeError)
\tfrom job.rb:5:in `<main>'
"""
PHP = """PHP Fatal error:  Uncaught Exception: bad row 17 in /srv/job.php:3
Stack trace:
#0 {main}
  thrown in /srv/job.php on line 3
"""
PERL = "bad row 17 at -e line 1.\n\tmain::f(1) called at -e line 1\n"
PSQL = 'ERROR:  relation "x" does not exist\nLINE 1: select * from x\n                      ^\n'
NPM = "Error: no config\nnpm ERR! A complete log of this run can be found in:\nnpm ERR!\n"
MAKE = "gcc: error: no input\nmake: *** [Makefile:2: all] Error 1\n"
SQLALCHEMY = """Traceback (most recent call last):
  File "job.py", line 3, in <module>
    session.execute(...)
sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table: x
[SQL: select * from x]
(Background on this error at: https://sqlalche.me/e/20/e3q8)
"""
NESTED_GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "job.py", line 9, in <module>
  | ExceptionGroup: two (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "job.py", line 3, in f
    |     raise ValueError("bad row 17")
    | ValueError: bad row 17
    +------------------------------------
"""
CARRIED_ON = (
    'Traceback (most recent call last):\n  File "x", line 1\nOSError: once\n'
    + "INFO working\n" * 30
    + "fatal: no quorum\n"
)


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        (NODE, "Error: ENOENT: no such file or directory, open '/nope'"),
        (NODE_BARE, '[UnhandledPromiseRejection: This error originated: reason "late".]'),
        (
            JAVA,
            (
                "Caused by: java.io.IOException: disk full"
                ' | Exception in thread "main" java.lang.RuntimeException: cannot save'
            ),
        ),
        (RUST, 'called `Result::unwrap()` on an `Err` value: "bad row 17"'),
        (RUST_LONG, "bad row 17"),
        (GO, "panic: bad row 17"),
        (RUBY, "job.rb:3:in `foo': bad row 17 (RuntimeError)"),
        (PHP, "PHP Fatal error: Uncaught Exception: bad row 17 in /srv/job.php:3"),
        (PERL, "bad row 17 at -e line 1."),
        (PSQL, 'ERROR: relation "x" does not exist'),
        (NPM, "Error: no config"),
        (MAKE, "gcc: error: no input"),
        (
            SQLALCHEMY,
            "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table: x",
        ),
        (NESTED_GROUP, "ValueError: bad row 17 | ExceptionGroup: two (1 sub-exception)"),
        (CARRIED_ON, "fatal: no quorum | OSError: once"),
        (
            "error: at least one\nat least one row is bad\n",
            "at least one row is bad | error: at least one",
        ),
        ("line 3: foo: command not found\n", "line 3: foo: command not found"),
    ],
)
def test_what_runtimes_and_tools_print_after_the_cause_is_skipped(stderr: str, line: str) -> None:
    assert telling(stderr) == line


@pytest.mark.parametrize("stderr", ["", "\n \n", "-----\n=====\n", "\x1b[0m\r\n"])
def test_where_nothing_tells_nothing_is_said(stderr: str) -> None:
    assert telling(stderr) == ""


def test_if_every_line_is_untelling_the_last_one_has_to_do() -> None:
    assert telling("+ cd /srv\n+ exit 1\n\n") == "exit 1"


def test_the_line_is_masked_before_it_is_chosen() -> None:
    assert cause_of(b"bad key s3cret\n", lambda text: text.replace("s3cret", "*")) == ("bad key *")


@pytest.mark.parametrize(
    "unit", [b" ", b"called at ", b"+ ", b"|", b"a\n", b"at \n", b"^", b'File "']
)
def test_a_mebibyte_of_anything_takes_steps_in_proportion(unit: bytes) -> None:
    """No clock: what is quadratic would take hours for this, and the test run with it."""
    cause_of(unit * (2**20 // len(unit)) + b"x", lambda text: text)


@given(st.lists(st.sampled_from([*PYTHON, NODE, JAVA, GO, NESTED_GROUP, "}\n", "  {\n", "at x\n"])))
@settings(max_examples=200)
def test_whatever_stands_there_one_line_comes_out(pieces: list[str]) -> None:
    line = telling("".join(pieces))
    assert line == line.strip()
    assert "\n" not in line


def test_the_message_is_what_happened_and_why() -> None:
    assert error_message("exited with code 1", "ValueError: bad row 17") == (
        "exited with code 1: ValueError: bad row 17"
    )
    assert error_message("killed by SIGKILL", "") == "killed by SIGKILL"


@given(st.text(max_size=30), st.text(max_size=30), st.integers(0, 40))
def test_the_message_keeps_its_limit(reason: str, line: str, limit: int) -> None:
    message = error_message(reason, line, limit)
    assert units(message) <= limit
    message.encode()
    whole = f"{reason}: {line}" if line else reason
    assert message == whole or (units(whole) > limit and whole.startswith(message[:-1]))


def test_a_long_message_says_that_it_is_cut() -> None:
    message = error_message("exited with code 1", "😀" * 600)
    assert 499 <= units(message) <= 500
    assert message.endswith("😀…")
