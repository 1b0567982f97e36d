"""Finds secrets, and masks them in texts that leave this machine.

Only known values and unmistakable shapes are masked: a log full of `[masked]` is useless.
"""

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

MASKED = "[masked]"

_SHORTEST = 8
"""Shorter values from the environment are likely to be ordinary words and are not masked."""
_SHORTEST_OWN = 4

# Shapes that only secrets have; the first group is kept. Each begins with a literal, and
# is bounded or cannot begin again inside itself, so that a search takes linear time.
_SHAPES = (
    r"()ck_(?:live|test)_[A-Za-z0-9_-]{4,}+",
    r"(?a)()eyJ(?<![A-Za-z0-9_-]eyJ)[\w-]{8,}+\.eyJ[\w-]{8,}+\.[\w-]*+",
    r"(://[^\s:/@\"']{0,200}:)[^\s/@\"']{1,200}(?=@)",
    r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)[^-]++",
    r"(?i)(authorization[\"']? ?[:=] ?[\"']?(?:bearer|basic|token) )[^\s\"',;]{8,}+",
    r"(?i)(x-api-key[\"']? ?[:=] ?[\"']?)[^\s\"',;]{8,}+",
)


class Masker:
    """A function that replaces every secret in a text by `[masked]`.

    secrets: values from the environment, of which those under 8 characters are ignored.
    own: crontify's own API key and token, of at least 4 characters.

    A secret is found as it is, and as it is written in a URL, in JSON, in a Python repr or
    in base64. If it has several lines, each line is a secret. Independent of these values,
    API keys of Crontify, JSON Web Tokens, private keys, and the secret parts of
    authorization headers and URLs are always masked.
    """

    def __init__(self, secrets: Iterable[str] = (), own: Iterable[str] = ()) -> None:
        needles = {
            form
            for shortest, values in ((_SHORTEST, secrets), (_SHORTEST_OWN, own))
            for value in values
            for form in _forms(value.strip(), shortest)
        }
        self._needles = sorted(needles, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        spans = sorted(span for needle in self._needles for span in _found(needle, text))
        parts, done = [], 0
        for start, end in spans:
            if start >= done:  # else it overlaps with the span before
                parts += [text[done:start], MASKED]
            done = max(done, end)
        masked = "".join([*parts, text[done:]])
        for shape in _SHAPES:
            masked = re.sub(shape, rf"\1{MASKED}", masked)
        return masked


def _forms(value: str, shortest: int) -> Iterator[str]:
    lines = [line.strip() for line in value.splitlines()]
    for text in {value, "\n".join(lines), *lines}:
        if len(text) < shortest:
            continue
        data = text.encode("utf-8", "surrogateescape")
        yield from (text, data.decode("utf-8", "replace"))  # also as `clean` decodes it
        yield from (quote(data, safe=""), quote(data), quote_plus(data))
        yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
        yield from (repr(text)[1:-1], text.replace("'", "'\\''"))  # in Python, and by sh -x
        # Alone, and followed by other text, as in `echo $SECRET | base64`.
        for part in (data, data[: len(data) // 3 * 3]):
            if len(part) >= shortest:
                yield base64.b64encode(part).decode().rstrip("=")
                yield base64.urlsafe_b64encode(part).decode().rstrip("=")


def _found(needle: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where `needle` occurs; occurrences that overlap are yielded as one."""
    start = text.find(needle)
    while start >= 0:
        last, end = start, start + len(needle)
        while (last := text.find(needle, last + 1, end + len(needle) - 1)) >= 0:
            end = last + len(needle)
        yield start, end
        start = text.find(needle, end)


# Any word of a variable's name, as in NPM_TOKEN, PGPASSWORD, SECRET_KEY_BASE; or the last one.
_SECRET_WORD = r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|APIKEY|CREDENTIAL|WEBHOOK)S?$"
_SECRET_END = r"(?:^|_)(?:PASS|PWD|KEYS?|PAT|AUTH|AUTHORIZATION|COOKIE|JWT)$"
_SECRET_PART = r"(?:API|ACCESS|PRIVATE|SIGNING|ENCRYPTION)_KEY"
# The last word of a variable whose value is not a secret, but something about one.
_ABOUT = (
    r"(?:^|_)(?:FILES?|PATH|DIR|DIRECTORY|SOCK|SOCKET|INFO|TTL|LIFETIME|EXPIRY|EXPIRES|TIMEOUT|NAME"
    r"|TYPE|ID|HOST|PORT|USER|USERNAME|ENABLED|COMMAND|CMD|HELPER|METHOD|ALGORITHM|VERSION)$"
)
_PATH = (
    r"(?:~|\.{1,2}|/(?:bin|dev|etc|home|mnt|nix|opt|private|proc|root|run|srv|sys|tmp|usr|Users|var))"
    r"(?:/[^\n]*)?"
)
_HARMLESS = frozenset(("disabled", "required", "optional", "undefined"))
_USERINFO = r"(?i)[a-z][a-z0-9+.-]*+://([^\s:/@]*+)(?::([^\s/@]*+))?@"


def secret_values(environ: Mapping[str, str]) -> list[str]:
    """Return the secrets among the values of environment variables.

    A value of 8 or more characters is a secret if the variable's name says so
    (`DB_PASSWORD`, `NPM_TOKEN`, `STRIPE_API_KEY`, but not `SSH_AUTH_SOCK`, `TOKEN_FILE`)
    and if it is not a path. The password in a URL is a secret in every variable.
    """
    found: dict[str, None] = {}
    for name, value in environ.items():
        value = value.strip()
        if _names_a_secret(name) and not re.fullmatch(_PATH, value):
            found[value] = None
        found |= dict.fromkeys(_in_url(value))
    return [value for value in found if len(value) >= _SHORTEST and value.lower() not in _HARMLESS]


def known_secrets() -> list[str]:
    """Return the secrets in the environment and in the settings that were loaded so far.

    A header may be a secret, and a proxy's URL may contain one.
    """
    from crontify_cli.config.secret import held_secrets

    held = held_secrets()
    in_urls = secret_values({str(number): text for number, text in enumerate(held)})
    return [*secret_values(os.environ), *in_urls, *held]


def full_mask() -> Masker:
    """Return a mask for all secrets that this process knows."""
    from crontify_cli.config.secret import held_secrets

    return Masker(known_secrets(), held_secrets())


def _names_a_secret(name: str) -> bool:
    name = name.upper().replace("-", "_").strip("_")
    words = name.split("_")
    if re.search(_ABOUT, name) or name in ("PWD", "OLDPWD"):
        return False
    if words[-1] in ("URL", "URI"):
        return "WEBHOOK" in words
    named = any(re.search(_SECRET_WORD, word) for word in words)
    return named or bool(re.search(_SECRET_END, name) or re.search(_SECRET_PART, name))


def _in_url(value: str) -> Iterator[str]:
    if match := re.match(_USERINFO, value):
        user, password = match.groups()
        secret = password or (user if len(user) >= 2 * _SHORTEST else "")
        yield from (secret, unquote(secret))
