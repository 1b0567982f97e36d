"""Tells which values are secrets: our own, and those in environment variables."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from crontify_cli.report.mask import Masker

_SHORTEST = 8

# Any word of a variable's name, as in NPM_TOKEN, PGPASSWORD, PASSWORD1, SECRET_KEY_BASE.
_SECRET_WORD = r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|APIKEY|CREDENTIAL|WEBHOOK)S?[0-9]*+$"
# Its last word, as in SMTP_PASS, SSHPASS, LDAP_BINDPW, but not SSH_ASKPASS.
_SECRET_LAST = (
    r"(?:PWD?|(?<!ASK)(?<!BY)(?<!COM)PASS|^KEYS?|^PAT|^AUTH|^AUTHORIZATION|^COOKIE|^JWT)[0-9]*+$"
)
_SECRET_END = r"(?:^|_)(?:SECRET_ID|AUTH_CONFIG|CONNECTION_STRING|CONN_?STR|CONNECTIONSTRING)$"
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
_TOKEN_AS_USER = r"(?i)[a-z][a-z0-9+.-]*+://([^\s:/@]{16,}+)@"


def secret_values(environ: Mapping[str, str]) -> list[str]:
    """Return the secrets among the values of environment variables.

    A value of 8 or more characters is a secret if the variable's name says so
    (`DB_PASSWORD`, `NPM_TOKEN`, `STRIPE_API_KEY`, but not `SSH_AUTH_SOCK`, `TOKEN_FILE`)
    and if it is not a path. In every variable, the passwords in URLs and what follows a
    name such as `password=` or `?token=` are secrets.
    """
    found: dict[str, None] = {}
    for name, value in environ.items():
        value = value.strip()
        if _names_a_secret(name) and not re.fullmatch(_PATH, value):
            found[value] = None
        found |= dict.fromkeys(_inside(value))
    return [value for value in found if len(value) >= _SHORTEST and value.lower() not in _HARMLESS]


def known_secrets() -> list[str]:
    """Return the secrets in the environment and in the settings that were loaded so far.

    A header may be a secret, and a proxy's URL may contain one.
    """
    from crontify_cli.config.secret import held_secrets

    held = held_secrets()
    in_urls = secret_values({str(number): text for number, text in enumerate(held)})
    return [*secret_values(os.environ), *in_urls, *held]


def full_mask() -> "Masker":
    """Return a mask for all secrets that this process knows."""
    from crontify_cli.config.secret import held_secrets
    from crontify_cli.report.mask import Masker

    return Masker(known_secrets(), held_secrets())


def _names_a_secret(name: str) -> bool:
    name = name.upper().replace("-", "_").strip("_")
    words = name.split("_")
    if re.search(_SECRET_END, name):
        return True
    if re.search(_ABOUT, name) or name in ("PWD", "OLDPWD"):
        return False
    if words[-1] in ("URL", "URI"):
        return "WEBHOOK" in words
    if re.search(_SECRET_LAST, words[-1]) or re.search(_SECRET_PART, name):
        return True
    return any(re.search(_SECRET_WORD, word) for word in words)


def _inside(value: str) -> Iterator[str]:
    """Yield the secrets in a URL, a list of URLs, or the parameters of a connection."""
    if not any(sign in value for sign in "=:"):
        return
    from crontify_cli.report.lookalikes import named_spans, password_spans

    data = value.encode("utf-8", "surrogateescape")
    for start, end in (*password_spans(data), *named_spans(data)):
        secret = data[start:end].decode("utf-8", "surrogateescape")
        yield from (secret, unquote(secret))
    if match := re.match(_TOKEN_AS_USER, value):
        yield from (match[1], unquote(match[1]))
