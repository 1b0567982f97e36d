"""What counts as a secret, and taking it out of text that leaves this machine.

DESIGN.md, promise 3. What a mask cannot know by value or by an unmistakable
shape stays: a log full of `[masked]` helps nobody.
"""

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

MASKED = "[masked]"

_SHORTEST = 8
"""Characters of a value found in the environment; what is shorter is a word."""
_SHORTEST_OWN = 4

# Shapes that nothing else has; what stands before the secret is kept. Each begins
# with a literal, and is bounded or cannot begin again inside itself: a search stays
# linear, and fast.
_SHAPES = (
    r"()ck_(?:live|test)_[A-Za-z0-9_-]{4,}+",
    r"(?a)()eyJ(?<![A-Za-z0-9_-]eyJ)[\w-]{8,}+\.eyJ[\w-]{8,}+\.[\w-]*+",
    r"(://[^\s:/@\"']{0,200}:)[^\s/@\"']{1,200}(?=@)",
    r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)[^-]++",
    r"(?i)(authorization[\"']? ?[:=] ?[\"']?(?:bearer|basic|token) )[^\s\"',;]{8,}+",
    r"(?i)(x-api-key[\"']? ?[:=] ?[\"']?)[^\s\"',;]{8,}+",
)


class Masker:
    """Callable that returns its text with every secret replaced by `[masked]`.

    secrets: values from the environment; what has fewer than 8 characters is let be.
    own: our key and token, from 4 characters on.

    A secret is found as it is and as it would stand in a URL, in JSON, in a repr or
    in base64; of one with several lines each line counts. Our keys' shape, JSON Web
    Tokens, private keys, and the secret part of an authorization header or of a
    URL are masked whoever's they are.
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
        for start, end in _union(spans):
            parts += [text[done:start], MASKED]
            done = end
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
        yield from (text, data.decode("utf-8", "replace"))  # as it is, and as cleaned text has it
        yield from (quote(data, safe=""), quote(data), quote_plus(data))
        yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
        yield from (repr(text)[1:-1], text.replace("'", "'\\''"))  # Python's, and sh -x's
        # Whole, and as the beginning of something longer: `echo $SECRET | base64`.
        for part in (data, data[: len(data) // 3 * 3]):
            if len(part) >= shortest:
                yield base64.b64encode(part).decode().rstrip("=")
                yield base64.urlsafe_b64encode(part).decode().rstrip("=")


def _found(needle: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where the needle stands; occurrences that overlap each other as one."""
    start = text.find(needle)
    while start >= 0:
        last, end = start, start + len(needle)
        while (last := text.find(needle, last + 1, end + len(needle) - 1)) >= 0:
            end = last + len(needle)
        yield start, end
        start = text.find(needle, end)


def _union(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the sorted spans, with those that overlap made one."""
    whole: tuple[int, int] | None = None
    for start, end in spans:
        if whole and start < whole[1]:
            whole = (whole[0], max(whole[1], end))
            continue
        if whole:
            yield whole
        whole = (start, end)
    if whole:
        yield whole


# A word of a variable's name: NPM_TOKEN, PGPASSWORD, SECRET_KEY_BASE; or its last one.
_SECRET_WORD = r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|APIKEY|CREDENTIAL|WEBHOOK)S?$"
_SECRET_END = r"(?:^|_)(?:PASS|PWD|KEYS?|PAT|AUTH|AUTHORIZATION|COOKIE|JWT)$"
_SECRET_PART = r"(?:API|ACCESS|PRIVATE|SIGNING|ENCRYPTION)_KEY"
# The last word where the value is not the secret but something about it.
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

    A value of 8 characters or more counts if the variable's name says so
    (`DB_PASSWORD`, `NPM_TOKEN`, `STRIPE_API_KEY`; not `SSH_AUTH_SOCK`, `TOKEN_FILE`)
    and it is no path; of a URL with userinfo, under any name, its password.
    """
    found: dict[str, None] = {}
    for name, value in environ.items():
        value = value.strip()
        if _names_a_secret(name) and not re.fullmatch(_PATH, value):
            found[value] = None
        found |= dict.fromkeys(_in_url(value))
    return [value for value in found if len(value) >= _SHORTEST and value.lower() not in _HARMLESS]


def known_secrets() -> list[str]:
    """Return what this process knows of secrets, beside its own key and token.

    Those of the environment and, once they were loaded, of the settings: a header may
    hold one, and a proxy's URL its password.
    """
    from crontify_cli.config.secret import held_secrets

    held = held_secrets()
    in_urls = secret_values({str(number): text for number, text in enumerate(held)})
    return [*secret_values(os.environ), *in_urls, *held]


def full_mask() -> Masker:
    """Return a mask for everything that this process knows to be secret."""
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
