"""Splits a command into the words, operators and redirections that sh sees, on bytes.

The rules are those of POSIX sh (IEEE 1003.1, "Shell Command Language"), with bash's `&>`, `<<<`,
`$'…'` and process substitution.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple


class UnbalancedError(ValueError):
    """A quote or a substitution is not closed."""


class UnsureError(ValueError):
    """The command has a form that this scanner does not follow."""


class Token(NamedTuple):
    """A piece of a command, from `start` to `end`.

    text: an operator or a redirection's operator, with its file descriptor; of a word the
        value after quote removal, None if it is only known when the shell has expanded it.
    plain: of a word, whether it has no quotes; of a redirection, whether it may stand behind
        another command: its target is no process substitution, and it is no here-document.
    """

    kind: Literal["word", "operator", "redirect", "comment"]
    start: int
    end: int
    text: bytes | None
    plain: bool = True


_PLAIN = re.compile(rb"[^ \t\n;&|<>()\"'`$\\#]+")
_OPERATOR = re.compile(rb";;&|;;|;&|&&|\|\||\|&|[;&|()]")
_REDIRECT = re.compile(rb"([0-9]+|\{[A-Za-z_][A-Za-z0-9_]*\})?(<<<|<<-|<<|<&|<>|>>|>&|>\||[<>])")
_BOTH = re.compile(rb"&>>?")
_BLANKS = re.compile(rb"[ \t\n]*")
_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")


def tokens(text: bytes, *, bash: bool) -> Iterator[Token]:
    """Yield the tokens of a command.

    Raises UnbalancedError for a quote or a substitution that is not closed, and UnsureError for a
    `case` within a substitution, whose end cannot be found without parsing it, for a redirection
    without a target, and for quotes and substitutions that are nested too deeply to follow.
    """
    at = 0
    while True:
        at = skip_blanks(text, at)
        if at == len(text):
            return
        if text.startswith(b"#", at):
            yield Token("comment", at, len(text), text[at:])
            return
        try:
            token = _redirect(text, at, bash) or _operator(text, at) or _word(text, at, bash)
        except RecursionError:
            raise UnsureError("nested too deeply") from None
        yield token
        at = token.end


def skip_blanks(text: bytes, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _operator(text: bytes, at: int) -> Token | None:
    match = _OPERATOR.match(text, at)
    return Token("operator", at, match.end(), match[0]) if match else None


def _redirect(text: bytes, at: int, bash: bool) -> Token | None:
    match = (_BOTH.match(text, at) if bash else None) or _REDIRECT.match(text, at)
    if not match or (match[0] in (b"<", b">") and text.startswith(b"(", match.end())):
        return None
    start = skip_blanks(text, match.end())
    if start == len(text) or _operator(text, start):
        raise UnsureError("a redirection without a target")
    target = _word(text, start, bash)
    movable = match[0].lstrip(b"0123456789")[:2] != b"<<" and text[start + 1 : start + 2] != b"("
    return Token("redirect", at, target.end, match[0], movable)


def _word(text: bytes, at: int, bash: bool) -> Token:
    """Return the word at `at`, process substitutions included."""
    start, value, plain = at, bytearray(), True
    known = True
    while at < len(text):
        char = text[at : at + 1]
        if char in b" \t\n;&|()":
            break
        if char in b"<>":
            if not text.startswith(b"(", at + 1):
                break
            at, known = _parentheses(text, at + 2, bash), False
        elif char == b"\\":
            value += text[at + 1 : at + 2]
            at, plain = min(at + 2, len(text)), False
        elif char == b"'":
            end = _find(text, b"'", at + 1)
            value += text[at + 1 : end]
            at, plain = end + 1, False
        elif char == b'"':
            end = _double(text, at + 1, bash)
            inner = text[at + 1 : end - 1]
            known = known and not re.search(rb"[$`\\]", inner)
            value += inner
            at, plain = end, False
        elif char in b"$`":
            end = _expansion(text, at, bash, quoted=False)
            known = known and end == at + 1 and char == b"$"
            value += char
            at = end
        elif match := _PLAIN.match(text, at):
            value += match[0]
            at = match.end()
        else:
            value += char
            at += 1
    if at == start:
        raise UnsureError("no word")
    return Token("word", start, at, bytes(value) if known else None, plain)


def _find(text: bytes, quote: bytes, at: int) -> int:
    end = text.find(quote, at)
    if end < 0:
        raise UnbalancedError(f"a {quote.decode()} is not closed")
    return end


def _double(text: bytes, at: int, bash: bool) -> int:
    """Return where the double quotes end whose first byte within is at `at`."""
    while at < len(text):
        char = text[at : at + 1]
        if char == b'"':
            return at + 1
        if char == b"\\":
            at += 2
        elif char in b"$`":
            at = _expansion(text, at, bash, quoted=True)
        else:
            at += 1
    raise UnbalancedError('a " is not closed')


def _expansion(text: bytes, at: int, bash: bool, *, quoted: bool) -> int:
    """Return the end of what begins at `at` with `$` or a backtick; a lone `$` is itself."""
    if text.startswith(b"`", at):
        return _backtick(text, at + 1)
    after = text[at + 1 : at + 2]
    if after == b"(":
        return _parentheses(text, at + 2, bash)
    if after == b"{":
        return _braces(text, at + 2, bash, quoted)
    if not quoted and after == b"'":
        return _escaped(text, at + 2, bash)
    if bash and not quoted and after == b'"':
        return _double(text, at + 2, bash)
    match = _NAME.match(text, at + 1)
    return match.end() if match else at + 1


def _backtick(text: bytes, at: int) -> int:
    while at < len(text):
        if text.startswith(b"`", at):
            return at + 1
        at += 2 if text.startswith(b"\\", at) else 1
    raise UnbalancedError("a ` is not closed")


def _escaped(text: bytes, at: int, bash: bool) -> int:
    """Return the end of bash's `$'…'`, in which a backslash protects a quote.

    dash reads a `$` and a quoted word, and /bin/sh may be either.
    """
    if not bash:
        end = _find(text, b"'", at)
        if b"\\" in text[at:end]:
            raise UnsureError("$'…' under sh")
        return end + 1
    while at < len(text):
        if text.startswith(b"'", at):
            return at + 1
        at += 2 if text.startswith(b"\\", at) else 1
    raise UnbalancedError("a $' is not closed")


def _braces(text: bytes, at: int, bash: bool, quoted: bool) -> int:
    """Return the end of `${…}`; within double quotes a single quote is an ordinary character."""
    while at < len(text):
        char = text[at : at + 1]
        if char == b"}":
            return at + 1
        if char == b"'" and not quoted:
            at = _find(text, b"'", at + 1) + 1
        else:
            at = _nested(text, at, bash, quoted=quoted)
    raise UnbalancedError("a ${ is not closed")


def _parentheses(text: bytes, at: int, bash: bool) -> int:
    """Return the end of `$(…)`, `$((…))` or `<(…)`, whose first byte within is at `at`."""
    begun = at
    depth = 1
    while at < len(text):
        char = text[at : at + 1]
        if char == b"'":
            at = _find(text, b"'", at + 1) + 1
        elif char == b"#" and (at == begun or text[at - 1 : at] in b" \t;&|("):
            break  # a comment, which would take the closing parenthesis with it
        else:
            depth += (char == b"(") - (char == b")")
            at = _nested(text, at, bash, quoted=False)
        if not depth:
            if re.search(rb"\bcase\b", text[begun:at]):
                raise UnsureError("a case within a substitution")
            return at
    if re.search(rb"\bcase\b", text[begun:]):
        raise UnsureError("a case within a substitution")
    raise UnbalancedError("a ( is not closed")


def _nested(text: bytes, at: int, bash: bool, *, quoted: bool) -> int:
    """Return the end of the byte at `at`, or of the quote or expansion that begins there."""
    char = text[at : at + 1]
    if char == b"\\":
        return at + 2
    if char == b'"':
        return _double(text, at + 1, bash)
    return _expansion(text, at, bash, quoted=quoted) if char in b"$`" else at + 1
