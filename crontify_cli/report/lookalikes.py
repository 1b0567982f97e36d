"""Finds what looks like a secret, whoever it belongs to: tokens, keys, `password=…`.

Whatever is searched for begins with a literal, and no pattern can begin again inside what
it has matched or goes back over more than a few hundred bytes, so a search takes linear
time. The literals are looked for first: most texts contain few of them, and a pattern
is compiled only when it is needed.
"""

import functools
import re
from collections.abc import Iterator

from crontify_cli.report.commandline import option_spans
from crontify_cli.report.spans import Span
from crontify_cli.report.tokens import token_spans

_VALUE = rb"""([^\s"'\\,;\[\]{}]{8,}+)"""
# Literals to look for in lower case, and what is masked: the group of the pattern.
_PHRASES = (
    (
        b"authorization",
        rb"""(?x) authorization ["'\\]{0,3}+ [ ]? [:=,] [ ]? (?: \[ | \[\]string\{ )?+ ["'\\]{0,3}+
        (?: (?:bearer|basic|token|apikey) [ ] | (?= [a-z_-]*+ [0-9] ) )"""
        + _VALUE,
    ),
    (
        b"authorization",
        rb"""(?x) authorization ["'\\]{0,3}+ [ ]? [:=] [ ]? ["'\\]{0,3}+
        (?:digest|negotiate|ntlm|oauth|hawk|aws4-hmac-sha256) [ ] ( [^\n]{8,}+ )""",
    ),
    (b"bearer", rb"\bbearer (?=[a-z_.-]*+[0-9])([\w.~+/=-]{12,}+)"),
    (b"x-api-key", rb"""x-api-key["'\\]{0,3}+ ?[:=] ?["'\\]{0,3}+""" + _VALUE),
    (b"cookie", rb"""(?<![a-z])cookie["']?+ ?: ?["']?+([\w.-]{1,100}+=[^\n"'\\]++)"""),
    (b"auth plain", rb"\bauth plain ([a-z0-9+/=]{8,}+)"),
    # Signed URLs
    (b"sig", rb"""[?&;](?:amp;)?(?:x-(?:amz|goog)-)?sig(?:nature)?=([^\s"'<>\\&]{8,}+)"""),
    # SQL
    (
        b"identified",
        rb"""(?x) \bidentified \s++ (?:with \s++ [\w"'`]++ \s++)?+ (?:by|as) \s++
        (?:password \s++)?+ (?: ' ([^'\n]++) | " [^"\n]++)""",
    ),
    # Configuration of a single word for each line: .netrc, redis.conf, a Dockerfile, csh
    (b"login", rb"\b(?:machine\s++\S{1,253}+|default)\s++login\s++\S++\s++password\s++(\S++)"),
    (
        b"pass",
        rb"""(?xm) ^ [ \t]*+ (?: (?: env | set(?:[ ]-x)? | setenv | > ) [ ] )?+
        (?: (?: [\w.-]{0,64} [_.-] )? (?:password|passwd|passphrase) | requirepass | (?<=>[ ])pass )
        [ \t]++ ["']?+ (?= [^\s0-9]*+ [0-9] ) ( [^\s"']{4,}+ ) ["']?+ [ \t]*+ $""",
    ),
    # The credentials of npm and Docker
    (b"_auth", rb"(?m)(?:^|[:\s])_auth[ \t]*+=[ \t]*+([a-z0-9+/=]{8,}+)"),
    (b'"auth"', rb'"auth": ?"([a-z0-9+/=]{16,}+)"'),
    # Go's address of a database
    (b"@tcp(", rb"""(?<![\w:/])[\w.-]{1,64}+:([^\s"'@]{1,200}+)@tcp\("""),
    # MySQL, the first start
    (b"temporary password", rb"temporary password\b[^\n:]{0,60}+: (\S{6,}+)"),
    # .pgpass, and any other line of HOST:PORT:DATABASE:USER:PASSWORD
    (b":", rb"(?m)^(?:[\w.-]{1,253}+|\*):(?:[0-9]{4,5}|\*):(?:[a-z_][\w-]*+|\*):[\w.*-]++:(\S++)$"),
)

# How the name of a secret ends, and what may stand between it and its value: quotes, also of
# JSON in JSON, URLs and HTML; a sign; in dumps of PHP and Go the type, in XML and lists of
# settings `value=`. Blanks alone are enough only after an option of a command.
_NAME = rb"""(?x)
    (?: pass(?:word|wort|wd|phrase|code)?+ | pwd | pw | psk | secret | token | credentials?+
      | apikey | (?:api|access|secret|private|signing|encryption|auth|account|shared|license
          |master|hmac|subscription|app|session|storage|deploy)
        (?:[_.-]?+ access)?+ [_.-]? key )
    (?: [_-]?+ (?: [0-9]{1,3}+ | base ) )?+
    (?: ["'\\] | %2[27] | &quot; | &\#3[49]; ){0,4}+"""
_NAMED = (
    _NAME
    + rb"""
    (?: \]?+ [ \t.]{0,40}+ (?: => | := | [:=] | %3[ad] ) [ \t]{0,40}+
        (?: \n?+ [ ]{0,40}+ string\([0-9]++\)[ ] | \(string\)[ ]\(len=[0-9]++\)[ ]
          | (?:some|password)\( )?+
        (?: %2[27] | &quot; | &\#3[49]; | \$(?=') | [bnru]{1,2}+(?=["']) )?+
      | (?: , \s?+ | \s{1,40}+ ) ["'\\]{0,4}+ value ["'\\]{0,4}+ [ ]?+ [:=] [ ]?+
      | (?: [ ][^<>\n]{1,60}+ )?+ > | ;s:[0-9]++: | \((?=["']) | ,[ ]?+ [bu]?+ (?=["'])
      | [ \t]{1,4}+ )
    (?: "{3} ( [^"\n]{1,4000}+ )
      | '{3} ( [^'\n]{1,4000}+ )
      | " ( (?: [^"\\\n] | \\. ){1,4000}+ )
      | ' ( [^'\n]{1,4000}+ )
      | \\{1,3}+ ["'] ( (?: [^\\\n] | \\(?!\\{0,2}["']) ){1,4000}+ )
      | ( [^\s"'\\&;,<>()\[\]{}|] (?: [^\s"'\\&;,<>] | \\(?![nrt"'\\]) ){0,4000}+ ) )"""
)
_BLOCK = (
    _NAME
    + rb"""
    [ ]{0,4}+ : [ ]{1,4}+ [|>] [-+0-9]{0,2}+ [ ]{0,4}+ \n ([ \t]++)
    ( \S [^\n]*+ (?: \n \1 [^\n]*+ )*+ )"""
)
"""A block of YAML: the lines that are indented."""
_NAME_PARTS = (b"pass", b"pw", b"secret", b"token", b"credential", b"key", b"psk")
_NAME_CHARACTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
_WEAK = (b"pass", b"pw", b"pwd", b"token", b"credential", b"credentials")
"""Names that often stand for something else than a secret: a number, a directory."""
_PASSWORDS = (b"password", b"passwd", b"passphrase")
_HARMLESS = (
    rb"(?i)[*x.-]+|true|false|null|none|empty|un(?:set|defined|known|changed)|required|optional"
    rb"|missing|invalid|incorrect|wrong|expired|disabled|enabled|string|hidden|redacted|masked"
    rb"|accepted|rejected|file|prompt|stdin|must|yes\)?|password:?|\$.*|%\w+%?|\[masked\].*|-.*"
)
_SHORTEST = 4


def shape_spans(data: bytes) -> Iterator[Span]:
    """Yield where something in a text (UTF-8) has the shape of a secret."""
    yield from token_spans(data)
    low = data.lower()
    for literal, pattern in _PHRASES:
        if literal in low:
            yield from (match.span(1) for match in re.finditer(pattern, low))
    yield from password_spans(data)
    yield from named_spans(data, low)
    yield from option_spans(data)


def password_spans(data: bytes) -> Iterator[Span]:
    """Yield the passwords and tokens in URLs: `postgres://app:PASSWORD@db`, `https://TOKEN@git`."""
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
            elif token := re.match(rb"(?=[^0-9@]*+[0-9])[\w.~%-]{16,}+(?=@)", part):
                yield start, start + token.end()
            start += len(part) + 3


def named_spans(data: bytes, low: bytes | None = None) -> Iterator[Span]:
    """Yield the values after names of secrets, as in `password=VALUE`; `low`: in lower case."""
    low = data.lower() if low is None else low
    if not any(part in low for part in _NAME_PARTS):
        return
    for match in re.finditer(_NAMED, low):
        start, end = match.span(match.lastindex or 0)
        before = data[max(0, match.start() - 64) : match.start()]
        opener = before.rstrip(_NAME_CHARACTERS)
        prefix = before[len(opener) :]
        is_pair = opener.endswith((b"('", b'("')) and data[end + 1 : end + 2] == b")"
        named = data[match.start() : start]
        if _is_secret(prefix, named, data[start:end], data[end : end + 1], is_pair):
            yield start, end
    if b": |" in low or b": >" in low:
        yield from (match.span(2) for match in re.finditer(_BLOCK, low))


@functools.lru_cache(maxsize=64)  # a log repeats itself
def _is_secret(prefix: bytes, named: bytes, value: bytes, after: bytes, is_pair: bool) -> bool:
    """Tell whether a value is likely to be a secret, from its name and from what it is.

    prefix: the characters of a name right before `named`, which is the end of the name with
        all that stands before the value. after: the byte after the value.
    is_pair: parentheses enclose only both, as in `('password', 'VALUE')`.
    """
    if len(value) < _SHORTEST or re.fullmatch(_HARMLESS, value):
        return False
    name = re.match(rb"[a-z]*+", named.lower())
    word = name[0] if name else b""
    between = named[len(word) :]
    is_quoted = between.endswith((b'"', b"'"))
    is_element = between.endswith(b">") and after == b"<"  # XML
    has_sign = re.search(rb"[:=]|%3[adAD]", between)
    # SQL has `PASSWORD 'VALUE'` and `PASSWORD('VALUE')`.
    is_sql = is_quoted and b">" not in between and word in _PASSWORDS and b" " not in value
    is_pair = is_pair and b"," in between
    if not (has_sign or prefix.startswith(b"-") or is_element or is_pair) and not (
        is_sql and b"," not in between
    ):
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
