"""A job that writes to both streams in an order that nobody can mistake."""

import sys

_SCRIPT = """
import fcntl, os, sys, termios, time
for word in sys.argv[2:]:
    fd = 2 if word.startswith("err") else 1
    os.write(fd, word.encode() + b"\\n")
    while any(fcntl.ioctl(fd, termios.FIONREAD, bytes(4))):
        time.sleep(.001)
sys.exit(int(sys.argv[1]))
"""


def paced(*words: str, code: int = 0) -> list[str]:
    """Return a command that writes each word, a line each, and exits with `code`.

    What begins with `err` goes to stderr. A word is written when the one before it was
    read from its pipe: written faster than they are read, two pipes have no order.
    """
    return [sys.executable, "-c", _SCRIPT, str(code), *words]
