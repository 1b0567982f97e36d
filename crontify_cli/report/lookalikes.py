"""Finds what looks like a secret, whoever it belongs to: tokens, keys, `password=…`.

Whatever is searched for begins with a literal, and no pattern can begin again inside what
it has matched or goes back over more than a few hundred bytes, so a search takes linear
time. The literals are looked for first: most texts contain few of them, and a pattern
is compiled only when it is needed.
"""

import functools
import re
from collections.abc import Iterator

from crontify_cli.report.spans import Span

# The beginnings of well-known tokens, and what follows them.
_TOKENS = {
    b"ck_live_": rb"[A-Za-z0-9_-]{4,}+",  # Crontify
    b"ck_test_": rb"[A-Za-z0-9_-]{4,}+",
    b"AKIA": rb"[A-Z0-9]{16}(?![A-Za-z0-9])",  # AWS
    b"ASIA": rb"[A-Z0-9]{16}(?![A-Za-z0-9])",
    b"ghp_": rb"[A-Za-z0-9]{30,}+",  # GitHub
    b"gho_": rb"[A-Za-z0-9]{30,}+",
    b"ghu_": rb"[A-Za-z0-9]{30,}+",
    b"ghs_": rb"[A-Za-z0-9]{30,}+",
    b"ghr_": rb"[A-Za-z0-9]{30,}+",
    b"github_pat_": rb"[A-Za-z0-9_]{22,}+",
    b"glpat-": rb"[A-Za-z0-9_.-]{20,}+",  # GitLab
    b"gldt-": rb"[A-Za-z0-9_-]{20,}+",
    b"glrt-": rb"[A-Za-z0-9_.-]{20,}+",
    b"xoxb-": rb"[A-Za-z0-9-]{10,}+",  # Slack
    b"xoxp-": rb"[A-Za-z0-9-]{10,}+",
    b"xoxa-": rb"[A-Za-z0-9-]{10,}+",
    b"xoxr-": rb"[A-Za-z0-9-]{10,}+",
    b"xoxs-": rb"[A-Za-z0-9-]{10,}+",
    b"xapp-": rb"[A-Za-z0-9-]{10,}+",
    b"hooks.slack.com/services/": rb"[A-Za-z0-9/]{8,}+",
    b"sk_live_": rb"[A-Za-z0-9]{10,}+",  # Stripe
    b"sk_test_": rb"[A-Za-z0-9]{10,}+",
    b"rk_live_": rb"[A-Za-z0-9]{10,}+",
    b"rk_test_": rb"[A-Za-z0-9]{10,}+",
    b"whsec_": rb"[A-Za-z0-9+/=]{16,}+",
    b"sk-": rb"[A-Za-z0-9_-]{32,}+",  # OpenAI, Anthropic
    b"AIza": rb"[A-Za-z0-9_-]{35}",  # Google
    b"ya29.": rb"[A-Za-z0-9_.-]{20,}+",
    b"GOCSPX-": rb"[A-Za-z0-9_-]{20,}+",
    b"npm_": rb"[A-Za-z0-9]{30,}+",
    b"pypi-": rb"[A-Za-z0-9_-]{50,}+",
    b"dckr_pat_": rb"[A-Za-z0-9_-]{20,}+",  # Docker
    b"dop_v1_": rb"[a-f0-9]{40,}+",  # DigitalOcean
    b"hf_": rb"[A-Za-z0-9]{30,}+",  # Hugging Face
    b"hvs.": rb"[A-Za-z0-9_-]{20,}+",  # Vault
    b"glsa_": rb"[A-Za-z0-9_]{30,}+",  # Grafana
    b"shpat_": rb"[a-fA-F0-9]{32}",  # Shopify
    b"SG.": rb"[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+",  # SendGrid
    b"AGE-SECRET-KEY-1": rb"[A-Z0-9]{40,}+",
}

# Of each only the last group is masked.
_PRIVATE_KEY = rb"""(?x)
    -----BEGIN\ [A-Z0-9 ]{0,30}PRIVATE\ KEY(?:\ BLOCK)?-----
    ( (?: [A-Za-z0-9+/=\\\s"',]++
        | (?<![A-Za-z])(?:Proc-Type|DEK-Info|Version|Comment):[^\n\\]*+ )++ )"""
_END_OF_KEY = rb"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
_KEY_LINE = rb"\s*+[A-Za-z0-9+/=]*+\s*+"
_HEADERS = rb"""(?x)
    (?: authorization ["'\\]{0,3}+ [ ]? [:=] [ ]? ["'\\]{0,3}+ (?:bearer|basic|token|apikey) [ ]
      | x-api-key ["'\\]{0,3}+ [ ]? [:=] [ ]? ["'\\]{0,3}+ )
    ( [^\s"'\\,;]{8,}+ )"""

# A name that ends like this, and what may stand between it and its value. Blanks alone are
# enough only after an option of a command.
_NAMED = rb"""(?x)
    (?: pass(?:word|wd|phrase|code)?+ | pwd | pw | secret | token | credentials?+ | apikey
      | (?:api|access|secret|private|signing|encryption|auth|account|shared|license)
        (?:[_.-]?+ access)?+ [_.-]? key )
    (?: [_-]?+ [0-9]{1,3}+ )?+
    ["'\\]{0,4}+ (?: [ \t]{0,8}+ (?: => | := | [:=] ) [ \t]{0,8}+ | [ \t]{1,4}+ | > )
    (?: " ( (?: [^"\\\n] | \\. ){1,4000}+ )
      | ' ( [^'\n]{1,4000}+ )
      | \\{1,3}+ ["'] ( (?: [^\\\n] | \\(?!\\{0,2}["']) ){1,4000}+ )
      | ( [^\s"'\\&;,<>()\[\]{}|] (?: [^\s"'\\&;,<>] | \\(?![nrt"'\\]) ){0,4000}+ ) )"""
_COOKIES = rb"""(?<![a-z])cookie["']?+ ?: ?["']?+([\w.-]{1,100}+=[^\n"'\\]++)"""
_NAME_PARTS = (b"pass", b"pw", b"secret", b"token", b"credential", b"key")
_NAME_CHARACTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
_WEAK = (b"pass", b"pw", b"pwd", b"token", b"credential", b"credentials")
"""Names that often stand for something else than a secret: a number, a directory."""
_HARMLESS = (
    rb"(?i)[*x.-]+|true|false|null|none|empty|un(?:set|defined|known|changed)|required|optional"
    rb"|missing|invalid|incorrect|wrong|expired|disabled|enabled|string|hidden|redacted|masked"
    rb"|accepted|rejected|file|prompt|stdin|must|\$.*|%\w+%?|\[masked\].*|-.*"
)
_SHORTEST = 4
_LONGEST_HEADER = 4096
_TOKEN_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


def shape_spans(data: bytes) -> Iterator[Span]:
    """Yield where something in a text (UTF-8) has the shape of a secret."""
    yield from _tokens(data)
    yield from _web_tokens(data)
    if b"PRIVATE KEY" in data:
        yield from (match.span(1) for match in re.finditer(_PRIVATE_KEY, data))
        yield from _ends_of_keys(data)
    low = data.lower()
    if b"authorization" in low or b"x-api-key" in low:
        yield from (match.span(1) for match in re.finditer(_HEADERS, low))
    if b"cookie" in low:
        yield from (match.span(1) for match in re.finditer(_COOKIES, low))
    yield from password_spans(data)
    yield from named_spans(data, low)


def _tokens(data: bytes) -> Iterator[Span]:
    for start, rest in _TOKENS.items():
        if start in data:
            # Also after an escaped line break or tab; our own keys have a start of their own.
            pattern = re.escape(start) + rest
            if not start.startswith(b"ck_"):
                pattern = rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))" + pattern
            yield from (match.span() for match in re.finditer(pattern, data))


def _web_tokens(data: bytes) -> Iterator[Span]:
    """Yield JSON Web Tokens, from the middle, which is where one begins for certain."""
    if b".eyJ" not in data:
        return
    for match in re.finditer(rb"\.eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+", data):
        before = data[max(0, match.start() - _LONGEST_HEADER) : match.start()]
        header = before[len(before.rstrip(_TOKEN_CHARACTERS)) :]
        at = header.find(b"eyJ")
        if 0 <= at <= len(header) - 11:
            yield match.start() - len(header) + at, match.end()


def _ends_of_keys(data: bytes) -> Iterator[Span]:
    """Yield the last lines of private keys, even where the beginning is missing."""
    for match in re.finditer(_END_OF_KEY, data):
        start = end = match.start()
        while start > 0:
            before = data.rfind(b"\n", 0, start - 1) + 1
            if not re.fullmatch(_KEY_LINE, data[before:start]):
                break
            start = before
        if data[start:end].strip():
            yield start, end


def password_spans(data: bytes) -> Iterator[Span]:
    """Yield the passwords in URLs, as in `postgres://app:PASSWORD@db`."""
    if b"://" not in data or b"@" not in data:
        return
    for match in re.finditer(rb"(?<=://)[^\s\"'<>\\`]++", data):
        start = match.start()
        for part in match[0].split(b"://"):
            colon, at = part.find(b":"), part.rfind(b"@")
            user, password = part[:colon], part[colon + 1 : at]
            is_port = re.match(rb"[0-9]{1,5}(?:[/?#,]|$)", password)
            if 0 <= colon < at - 1 and not is_port and not re.search(rb"[/?#@]", user):
                yield start + colon + 1, start + at
            start += len(part) + 3


def named_spans(data: bytes, low: bytes | None = None) -> Iterator[Span]:
    """Yield the values after names of secrets, as in `password=VALUE`; `low`: in lower case."""
    low = data.lower() if low is None else low
    if not any(part in low for part in _NAME_PARTS):
        return
    for match in re.finditer(_NAMED, low):
        start, end = match.span(match.lastindex or 0)
        before = data[max(0, match.start() - 64) : match.start()]
        prefix = before[len(before.rstrip(_NAME_CHARACTERS)) :]
        if _is_secret(prefix, data[match.start() : start], data[start:end], data[end : end + 1]):
            yield start, end


@functools.lru_cache(maxsize=64)  # a log repeats itself
def _is_secret(prefix: bytes, named: bytes, value: bytes, after: bytes) -> bool:
    """Tell whether a value is likely to be a secret, from its name and from what it is.

    prefix: the characters of a name right before `named`, which is the end of the name with
        all that stands before the value. after: the byte after the value.
    """
    if len(value) < _SHORTEST or re.fullmatch(_HARMLESS, value):
        return False
    name = re.match(rb"[a-z]*+", named.lower())
    word = name[0] if name else b""
    between = named[len(word) :]
    is_quoted = between.endswith((b'"', b"'"))
    is_element = between == b">" and after == b"<"  # XML
    if not re.search(rb"[:=]", between) and not prefix.startswith(b"-") and not is_element:
        return False
    if between.endswith(b" ") and value.isalpha() and after == b" ":
        return False  # a sentence, as in "invalid password: use another one"
    if word not in _WEAK:
        return True
    is_camel = named[:1].isupper() and prefix[-1:].islower()
    if prefix[-1:].isalpha() and word.startswith(b"p") and not is_camel:
        return prefix.lower().endswith((b"ssh", b"bind", b"user", b"db"))  # not compass, bypass
    if word == b"pass" and b":" in between and not is_quoted:
        return False  # the result of a test
    return not value.isdigit() and not value.startswith((b"/", b"~", b"./"))
