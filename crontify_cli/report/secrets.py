"""Tells which values are secrets: our own, and those in environment variables."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crontify_cli.report.mask import Masker

_SHORTEST = 8

# What a word of a variable's name ends with, as in NPM_TOKEN, PGPASSWORD, SECRET_KEY_BASE.
# Digits and a plural S may follow.
_SECRET_WORDS = (
    *("PASSWORD", "PASSWD", "PASSPHRASE", "PASSCODE", "SECRET", "TOKEN", "CREDENTIAL", "CRED"),
    *("APIKEY", "APPKEY", "ACCESSKEY", "SECRETKEY", "PRIVATEKEY", "BEARER", "WEBHOOK"),
)
# What its last word ends with, as in SMTP_PASS, SSHPASS, LDAP_BINDPW, but not SSH_ASKPASS.
_SECRET_ENDS = ("PW", "PWD", "PASS")
_OTHER_PASS = ("ASKPASS", "BYPASS", "COMPASS")
_SECRET_LAST = frozenset(
    ("KEY", "KEYS", "PAT", "PSK", "SAS", "AUTH", "AUTHORIZATION", "COOKIE", "JWT")
)
_SECRET_NAMES = (
    *("_SECRET_ID", "_AUTH_CONFIG", "_CONNECTION_STRING", "_CONN_STR", "_CONNSTR"),
    "_CONNECTIONSTRING",
)
_SECRET_PARTS = (
    "PASS_WORD",
    "PASS_PHRASE",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "SIGNING_KEY",
    "ENCRYPTION_KEY",
)
# The last word of a variable whose value is not a secret, but something about one.
_ABOUT = frozenset(
    (
        *("FILE", "FILES", "PATH", "DIR", "DIRECTORY", "SOCK", "SOCKET", "INFO", "TTL", "LIFETIME"),
        *("EXPIRY", "EXPIRES", "TIMEOUT", "NAME", "TYPE", "ID", "HOST", "PORT", "USER", "USERNAME"),
        *("ENABLED", "COMMAND", "CMD", "HELPER", "METHOD", "ALGORITHM", "VERSION"),
    )
)
# A last word that says how the secret is written, or where it is used.
_WRITTEN = frozenset(("B64", "BASE64", "HEX", "PEM", "JSON", "DATA", "VALUE"))
_USED = frozenset(("PROD", "PRODUCTION", "STAGING", "DEV", "TEST", "LIVE", "OLD", "NEW"))
_DIGITS = "0123456789"
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
        if _names_a_secret(name) and not _is_path(value):
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
    while len(words) > 1 and words[-1] in _WRITTEN | _USED:
        words.pop()
    name = "_".join(words)
    if f"_{name}".endswith(_SECRET_NAMES):
        return True
    if words[-1] in _ABOUT or name in ("PWD", "OLDPWD"):
        return False
    if words[-1] in ("URL", "URI"):
        return "WEBHOOK" in words
    words = [word.rstrip(_DIGITS) for word in words]
    if words[-1] in _SECRET_LAST or any(part in name for part in _SECRET_PARTS):
        return True
    if words[-1].endswith(_SECRET_ENDS) and not words[-1].endswith(_OTHER_PASS):
        return True
    return any(word.removesuffix("S").endswith(_SECRET_WORDS) for word in words)


def _is_path(value: str) -> bool:
    return value.startswith(("~", ".", "/")) and bool(re.fullmatch(_PATH, value))


def _inside(value: str) -> Iterator[str]:
    """Yield the secrets in a URL, a list of URLs, or the parameters of a connection."""
    if not any(sign in value for sign in "=:"):
        return
    from crontify_cli.report.lookalikes import named_spans, password_spans

    data = value.encode("utf-8", "surrogateescape")
    for start, end in (*password_spans(data), *named_spans(data)):
        yield from _quoted_and_not(data[start:end].decode("utf-8", "surrogateescape"))
    if "@" in value and (match := re.match(_TOKEN_AS_USER, value)):
        yield from _quoted_and_not(match[1])


def _quoted_and_not(secret: str) -> Iterator[str]:
    """Yield a part of a URL, and the secret that it stands for if it is percent-encoded."""
    yield secret
    if "%" in secret:
        from urllib.parse import unquote

        yield unquote(secret)
