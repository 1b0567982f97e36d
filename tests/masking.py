"""Searches for secrets that escape the mask: random secrets, encodings, chunks and line lengths.

`python -m tests.masking --examples 20000` runs it in full; the test suite runs a few hundred
examples. Each has a seed, which is printed where it fails: `--seed N` repeats it.
"""

import argparse
import base64
import html
import json
import random
import re
import shlex
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from crontify_cli import crash, record
from crontify_cli.report.compose import Output, compose
from crontify_cli.report.excerpt import one_line
from crontify_cli.report.live import Lines
from crontify_cli.report.locallog import read_log, write_log
from crontify_cli.report.mask import Masker

PIECE = 12
"""Consecutive characters of a secret that must not appear."""

Encoding = Callable[[str], str]

ENCODINGS: dict[str, Encoding] = {
    "plain": str,
    "json": lambda text: json.dumps(text),
    "json-utf8": lambda text: json.dumps(text, ensure_ascii=False),
    "slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "u0026": lambda text: re.sub("[&<>'+]", lambda m: f"\\u{ord(m[0]):04x}", json.dumps(text)),
    "url": lambda text: quote(text, safe=""),
    "url-lower": lambda text: re.sub("%..", lambda m: m[0].lower(), quote(text, safe="")),
    "url-path": quote,
    "form": quote_plus,
    "html": html.escape,
    "repr": repr,
    "shell": shlex.quote,
    "backslashes": lambda text: re.sub(r"(\W)", r"\\\1", text),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "hex:": lambda text: text.encode().hex(":"),
    "HEX-": lambda text: text.encode().hex("-").upper(),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 after 1": lambda text: base64.b64encode(b":" + text.encode()).decode(),
    "base64 after 2": lambda text: base64.b64encode(b"x:" + text.encode() + b"\n").decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode()).decode(),
}

ALPHABETS = (
    string.ascii_letters + string.digits,
    string.ascii_letters + string.digits + "-_",
    string.ascii_letters + string.digits + "+/",
    string.ascii_letters + string.digits + "!#$%&()*+,-./:;<=>?@[]^_{|}~",
    string.ascii_letters + string.digits + string.punctuation,
    string.ascii_letters + string.digits + " äöüß€日本",
)
WORDS = ("backup", "done", "at 12:30:05", "rows=17", "é", "{", "%", "\\", "https://example.com/x")
LIMITS = (40, 64, 72, 76, 80, 300, 500, 4096, 10_000, 16 * 1024, 64 * 1024)
"""Line lengths around which something is wrapped or cut."""


class Example(NamedTuple):
    """What a job printed, and what is in it. The secret is at most 200 characters."""

    seed: int
    secret: str
    encodings: tuple[str, str]
    printed: bytes


def example(seed: int) -> Example:
    """Return the example with this number."""
    chance = random.Random(seed)
    length = chance.choice((8, 9, 11, 12, 13, 16, 20, 23, 24, 32, 40, 64, 100, 200))
    secret = "".join(chance.choices(chance.choice(ALPHABETS), k=length)).strip()
    secret = secret.ljust(8, "x")
    names = tuple(chance.choices(list(ENCODINGS), k=2))
    form = ENCODINGS[names[1]](ENCODINGS[names[0]](secret))
    if chance.random() < 0.3:
        width = chance.choice((20, 40, 64, 76))
        indent = " " * chance.choice((0, 0, 2, 8))
        form = ("\n" + indent).join(form[at : at + width] for at in range(0, len(form), width))
    sizes = (0, 200, 1000, 3000, 70_000, record.HEAD + record.TAIL + 5000)
    total = chance.choices(sizes, (30, 200, 300, 300, 20, 1))[0]
    text = "".join(_surroundings(chance, form, total))
    if chance.random() < 0.2:
        text = text.replace("\n", "\r\n")
    return Example(seed, secret, (names[0], names[1]), text.encode())


def _surroundings(chance: random.Random, form: str, total: int) -> Iterator[str]:
    """Yield pieces of output with `form` in them, near the limits of lines."""
    size = 0
    while size <= total:
        line = " ".join(chance.choices(WORDS, k=chance.randrange(8)))
        if chance.random() < 0.1:
            before = chance.choice(LIMITS) - chance.randrange(len(form) + 20)
            line = "." * max(0, before - len(line) - 1) + " " + line
        piece = f"{line} {form}{chance.choice(('', ' ', chr(10), ' and on', '. '))}"
        if size > 500 and chance.random() < 0.9:
            piece = line * chance.randrange(1, 200) + "\n"
        yield piece
        size += len(piece)


def recorded(printed: bytes, chance: random.Random) -> Output:
    """Return what a record keeps of this output."""
    size = chance.choice((record.HEAD, 1000, 300))  # smaller ones wrap with less output
    head, rest = printed[:size], printed[size:]
    room = chance.choice((record.TAIL, 1500, 400, 17))
    tail = rest[-room:]
    return Output(head, len(rest) - len(tail), tail, printed[-64 * 1024 :])


def shown(case: Example, folder: str) -> Iterator[tuple[str, str]]:
    """Yield everything that is made of an example's output, with its name."""
    chance = random.Random(case.seed + 1)
    mask = Masker([case.secret], shapes=chance.random() < 0.5)
    output = recorded(case.printed, chance)
    reason = f"exited with code 1, {case.secret}"
    ping, log = compose("m", False, reason, {}, output, mask)
    yield "report", json.dumps([ping.error_message, ping.log_output], ensure_ascii=False)
    yield "report", f"{ping.error_message}\n{ping.log_output}"
    write_log(folder, "0" * 12, log)
    yield "log", read_log(folder, "0" * 12) or ""
    yield "journal", "\n".join(map(mask, ["curl", case.secret, f"--key={case.secret}"]))
    yield "message", one_line(case.printed[:3000].decode("utf-8", "replace"), mask=mask)
    yield "live", "".join(_live(case, chance, mask))


def _live(case: Example, chance: random.Random, mask: Callable[[str], str]) -> Iterator[str]:
    lines, at, now = Lines(raw=chance.random() < 0.3), 0, 0.0
    printed = case.printed[:100_000]
    while at < len(printed):
        step = chance.choice((1, 7, 40, 4096, 65536))
        yield mask(lines.feed(printed[at : at + step], now))
        at, now = at + step, now + 0.01
        if len(printed) > 4000:
            at, now = at, 0.0
    yield mask(lines.finish())


def error_file(case: Example, folder: Path) -> str:
    """Return the traceback of an internal error that has the example's form in its message."""
    form = ENCODINGS[case.encodings[1]](ENCODINGS[case.encodings[0]](case.secret))
    try:
        raise ValueError(f"cannot use {form} or {case.secret!r}")
    except ValueError as error:
        kept = crash.keep(error, "exec", lambda: Masker([case.secret]))
    path = re.search(r"in (\S+\.txt)", kept)
    assert path, kept
    file = Path(path[1])
    text = file.read_text(encoding="utf-8")
    file.unlink()
    return f"{kept}\n{text}"


def leak(secret: str, text: str) -> str:
    """Return twelve consecutive characters of the secret that are in the text, or ""."""
    # Line ends and indentation do not count; neither may they hide a piece.
    joined = re.sub(r"\s*\n\s*", "", text)
    width = min(PIECE, len(secret))
    for start in range(len(secret) - width + 1):
        piece = secret[start : start + width]
        if piece in text or piece in joined:
            return piece
    return ""


def encoded_leak(case: Example, text: str) -> str:
    """Return a piece of the secret's hex, base32 or base64 that twelve characters are in, or ""."""
    inner, outer = case.encodings
    widths = {"hex": 2 * PIECE, "HEX": 2 * PIECE, "base64": 20, "base64url": 20}
    widths |= {"hex:": 3 * PIECE, "HEX-": 3 * PIECE, "base32": 24}
    if inner != "plain" or outer not in widths or not case.secret.isascii():
        return ""
    form = ENCODINGS[outer](case.secret)
    joined = re.sub(r"\s*\n\s*", "", text)
    starts = range(len(form) - widths[outer] + 1)
    pieces = (form[start : start + widths[outer]] for start in starts)
    return next((piece for piece in pieces if piece in joined), "")


def problems(seed: int, folder: str) -> list[str]:
    """Return what is wrong with an example, one line for each text that has a leak."""
    case = example(seed)
    texts = [*shown(case, folder), ("error file", error_file(case, Path(folder)))]
    return [
        f"seed {seed}: {place}: {piece!r} of {case.secret!r} in {' in '.join(case.encodings)}"
        for place, text in texts
        if (piece := leak(case.secret, text) or encoded_leak(case, text))
    ]


def main() -> int:
    """Run many examples; exit 1 if a secret escapes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first example")
    options = parser.parse_args()
    began, failed = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        import os

        os.environ["CRONTIFY_STATE_DIR"] = folder
        for seed in range(options.seed, options.seed + options.examples):
            for line in problems(seed, folder):
                failed += 1
                print(line, flush=True)
            if (seed + 1) % 1000 == 0:
                print(f"{seed + 1} examples, {time.monotonic() - began:.0f} s", flush=True)
    print(f"seeds {options.seed} to {options.seed + options.examples - 1}: {failed} leaks")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
