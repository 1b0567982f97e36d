"""Measure how long it takes to mask 1 MiB of different kinds of text.

    .venv/bin/python -m benchmarks.masking

The times are CPU seconds, the best of five, with one secret and with 200, and with 200 for
twice the text.
"""

import base64
import random
import string
import time
from collections.abc import Callable
from pathlib import Path

from crontify_cli.report.mask import Masker

SIZE = 2**20


def texts(secrets: list[str]) -> dict[str, str]:
    """Return texts of `SIZE` characters: of some every line has a secret, of some none."""
    chance = random.Random(1)
    words = (Path(__file__).parent.parent / "README.md").read_text().split()
    prose = " ".join(chance.choices(words, k=SIZE // 3)).replace(". ", ".\n")
    lines = [f"12:00:{at % 60:02} request {at} by bob, status 200" for at in range(SIZE // 30)]
    return {
        "prose": prose[:SIZE],
        "a log": "\n".join(lines)[:SIZE],
        "a log with a secret in every tenth line": "\n".join(
            f"{line} {secrets[0]}" if at % 10 == 0 else line for at, line in enumerate(lines)
        )[:SIZE],
        "a log with a secret in every line": "\n".join(f"{line} {secrets[0]}" for line in lines)[
            :SIZE
        ],
        "JSON": ('{"time": "12:00", "message": "a\\nb \\"c\\" & d", "n": 17}\n' * SIZE)[:SIZE],
        "base64": base64.encodebytes(chance.randbytes(SIZE)).decode()[:SIZE],
        "one letter": "a" * SIZE,
        "names": ("password=hunter2 " * SIZE)[:SIZE],
    }


def best(masker: Callable[[str], str], text: str) -> float:
    """Return the CPU seconds that masking takes, the best of five."""
    times = []
    for _ in range(5):
        began = time.process_time()
        masker(text)
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Print a table."""
    chance = random.Random(2)
    characters = string.ascii_letters + string.digits + "+/=%&-_!"
    lengths = chance.choices(range(8, 80), k=200)
    secrets = ["".join(chance.choices(characters, k=length)) for length in lengths]
    print(f"{'':42}  1 secret  200 secrets  2 MiB")
    for name, text in texts(secrets).items():
        one, many = Masker(secrets[:1]), Masker(secrets)
        few, more, double = best(one, text), best(many, text), best(many, text * 2)
        print(f"{name:42}  {few:8.3f}  {more:11.3f}  {double:5.3f}")


if __name__ == "__main__":
    main()
