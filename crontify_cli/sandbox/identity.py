"""Ids, API keys and times, as the seed's examples write them."""

import hashlib
import random
import secrets
import string
import time
from datetime import UTC, datetime

from crontify_cli.sandbox.records import Millis

KEY_PREFIX = "ck_live_"
_BASE36 = string.digits + string.ascii_lowercase
_BASE62 = string.digits + string.ascii_letters
# Ids are no secrets, and this generator is a tenth of the price of the system's.
_random = random.Random(secrets.randbits(128))


def now() -> Millis:
    """Return the time by the system's clock."""
    return time.time_ns() // 1_000_000


def timestamp(at: Millis) -> str:
    """Return `at` in the seed's form: `2025-01-01T09:00:00.000Z`."""
    whole = datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at % 1000:03d}Z"


def new_id(at: Millis) -> str:
    """Return an id of 25 characters: `cl`, the time, then chance, so that ids sort by time."""
    digits = ""
    while at:
        at, digit = divmod(at, 36)
        digits = _BASE36[digit] + digits
    return f"cl{digits:0>8}{''.join(_random.choices(_BASE36, k=15))}"


def new_key() -> str:
    """Return a new API key: 32 characters of the system's chance, 190 bits."""
    return KEY_PREFIX + "".join(secrets.choice(_BASE62) for _ in range(32))


def hash_key(key: str) -> bytes:
    """Return what is kept of a key. It is all chance, so a plain hash cannot be guessed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
