"""Tells what kind of command a crontab line has: one program, or something only a shell can run.

Whatever it is not sure of counts as a command for the shell, which is right for every command.
"""

import re
from typing import NamedTuple

from crontify_cli.crontab.words import Token, UnbalancedError, UnsureError, skip_blanks, tokens

__all__ = ["BUILTINS", "POSIX_SHELLS", "Shape", "UnbalancedError", "is_bash", "shape"]

POSIX_SHELLS = frozenset(
    (b"sh", b"dash", b"ash", b"bash", b"ksh", b"ksh93", b"mksh", b"zsh", b"yash")
)
"""Shells whose quoting is sh's; others, such as fish and csh, read a quoted command otherwise."""
_LIKE_BASH = frozenset((b"bash", b"zsh", b"ksh93", b"ksh"))

BUILTINS = frozenset(
    b". : alias bg bind break builtin caller cd command compgen complete continue declare dirs"
    b" disown echo enable eval exec exit export false fc fg getopts hash help history jobs kill let"
    b" local logout mapfile newgrp popd printf print pushd pwd read readarray readonly return set"
    b" shift shopt source suspend test times trap true type typeset ulimit umask unalias unset"
    b" wait whence [ time function coproc namespace".split()
)
"""Commands of a shell's own; `echo`, `test` and others also exist in /bin, where they differ."""

_CLOSERS = {
    b"{": b"}",
    b"if": b"fi",
    b"while": b"done",
    b"until": b"done",
    b"for": b"done",
    b"select": b"done",
    b"case": b"esac",
}
_CONTINUES = (b"then", b"do", b"else", b"elif", b"in", b"!")
_ASSIGNMENT = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*(\[[^]]*\])?\+?=")


class Shape(NamedTuple):
    """What kind of command it is.

    is_simple: one program with its arguments, so that words before it change nothing else.
        start: where the program's word begins.
    Otherwise start and end enclose what only a shell can run. Redirections that apply to all
    of it, and a comment, are outside.

    commands: the words of each simple command in it, as tokens' texts.
    is_background: it ends with `&`. has_background: a `&` stands within.
    has_both: `&>` stands where sh reads a `&` and a `>`.
    hides_output: a redirection within sends output to a file.
    """

    is_simple: bool
    start: int
    end: int
    commands: tuple[tuple[bytes | None, ...], ...] = ()
    is_background: bool = False
    has_background: bool = False
    has_both: bool = False
    hides_output: bool = False


def is_bash(shell: bytes) -> bool:
    """Tell whether a shell, by its path, knows bash's extensions."""
    return shell.rpartition(b"/")[2] in _LIKE_BASH


class _Piece:
    """A command between two operators, at the outermost level.

    words, body: how many words came, and where what is not a trailing redirection ends.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.program: Token | None = None
        self.is_compound = False
        self.is_closed = False
        self.needs_shell = False
        self.body = start
        self.leading: list[Token] = []
        self.trailing: list[Token] = []
        self.within: list[Token] = []

    def add(self, token: Token) -> None:
        """Take in a word or an operator: the redirections before it are not trailing."""
        if self.is_closed:
            raise UnsureError("a word behind a compound command")
        if self.body == self.start:
            self.start = token.start
            self.leading = self.trailing
        else:
            self.within += self.trailing
        self.trailing = []
        self.body = token.end


class _Reader:
    """Follows the tokens of a command, and keeps what `Shape` needs."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.pieces: list[_Piece] = []
        self.piece: _Piece | None = None
        self.operators: list[Token] = []
        self.stack: list[bytes] = []
        self.commands: list[list[bytes | None]] = []
        self.expects_command = True
        self.inner: list[Token] = []

    def take(self, token: Token) -> None:
        """Take in the next token. Raises UnsureError."""
        if token.kind == "redirect" and self.stack:
            self.inner.append(token)
        elif token.kind == "redirect":
            self._open(token).trailing.append(token)
        elif token.kind == "operator":
            self._operator(token)
        else:
            self._word(token)

    def _open(self, token: Token) -> _Piece:
        if self.piece is None:
            self.piece = _Piece(token.start)
            self.pieces.append(self.piece)
        return self.piece

    def _add(self, token: Token) -> None:
        """Let the outermost piece take a token in, wherever it is nested."""
        self._open(token).add(token)

    def _operator(self, token: Token) -> None:
        if token.text == b"(":
            if not self.expects_command:
                raise UnsureError("a function or an array")
            self._add(token)
            if self.stack[-1:] != [b"esac"]:
                self._push(b")")
        elif token.text == b")":
            self._add(token)
            if self.stack[-1:] == [b")"]:
                self._pop()
                return
            if self.stack[-1:] != [b"esac"]:
                raise UnsureError("a ) without its (")
        elif self.stack:
            self._add(token)
        else:
            self.operators.append(token)
            self.piece = None
        self.expects_command = True

    def _push(self, closer: bytes) -> None:
        self.stack.append(closer)
        if self.piece:
            self.piece.is_compound = True

    def _pop(self) -> None:
        self.stack.pop()
        self.expects_command = False
        if self.piece and not self.stack:
            self.piece.is_closed = True

    def _word(self, token: Token) -> None:
        self._add(token)
        if not self.expects_command:
            if self.commands:
                self.commands[-1].append(token.text)
            return
        name = token.text if token.plain else None
        if self.stack and name == self.stack[-1]:
            self._pop()
        elif name in _CLOSERS:
            self._push(_CLOSERS[name])
            self.expects_command = name not in (b"for", b"select", b"case")
            if not self.expects_command:
                self.commands.append([])
        elif name in _CONTINUES:
            self._need_shell()
        elif name in (b"[[", b"function", b"coproc") or (name or b"").startswith(b"(("):
            raise UnsureError("a form of bash's")
        elif _ASSIGNMENT.match(self.text, token.start, token.end):
            self._need_shell()
        else:
            self._program(token)

    def _need_shell(self) -> None:
        if self.piece:
            self.piece.needs_shell = True

    def _program(self, token: Token) -> None:
        self.expects_command = False
        self.commands.append([token.text])
        if self.piece and not self.stack:
            self.piece.program = token
            if token.text in BUILTINS:
                self.piece.needs_shell = True


def shape(text: bytes, *, bash: bool) -> Shape:
    """Return what kind of command `text` is; of an empty one both ends are equal.

    bash: whether the shell knows bash's extensions. Raises UnbalancedError.
    """
    reader, found = _Reader(text), list[Token]()
    try:
        found += (token for token in tokens(text, bash=bash) if token.kind != "comment")
        for token in found:
            reader.take(token)
        if reader.stack:
            raise UnsureError("a compound command without its end")
    except UnsureError:
        whole = Token("word", found[0].start if found else skip_blanks(text, 0), len(text), None)
        return _all_for_the_shell(text, reader, [*found, whole])
    found_shape = _shaped(text, reader, found)
    after = text[found_shape.end : found_shape.end + 1]
    if after in b" \t<>&" or found_shape.is_simple:
        return found_shape
    # What follows directly would become a part of the quoted word: `(a)2>f`, `(a)#why`.
    return _all_for_the_shell(text, reader, found)._replace(end=len(text))


def _shaped(text: bytes, reader: _Reader, found: list[Token]) -> Shape:
    """Return the shape of what was read completely."""
    last = found[-1] if found else None
    ends_with_operator = bool(reader.operators) and reader.operators[-1] is last
    if not last or len(reader.pieces) != 1 or len(reader.operators) != int(ends_with_operator):
        return _all_for_the_shell(text, reader, found)
    piece, special = reader.pieces[0], any(_is_special(text, token) for token in found)
    special = special or (piece.program is not None and _may_vanish(text, piece.program))
    whole = _all_for_the_shell(text, reader, found)
    if piece.program and not (piece.needs_shell or piece.is_compound or special):
        return whole._replace(
            is_simple=True, start=piece.program.start, end=piece.body, hides_output=False
        )
    if ends_with_operator or special or not (piece.program or piece.is_compound):
        return whole
    if piece.program and piece.program.text == b"time":
        return whole  # bash's keyword writes its times to where no redirection of it goes
    if piece.within and piece.trailing:
        return whole  # of one command's redirections the later ones win
    within = [*piece.within, *reader.inner]
    files = {_target(text, token) for token in within} - {b""}
    if files & {_target(text, token) for token in piece.trailing}:
        return whole  # two writers of one file: which of them writes first would change
    hides = any(_hides(text, token) for token in within)
    return whole._replace(start=piece.start, end=piece.body, hides_output=hides)


def _all_for_the_shell(text: bytes, reader: _Reader, found: list[Token]) -> Shape:
    """Return the shape of a command that only a shell can run, redirections and all."""
    operators = [token for token in found if token.kind == "operator" and token.text == b"&"]
    is_background = bool(operators) and operators[-1] is found[-1]
    starts = {token.start for token in found if token.kind == "redirect"}
    return Shape(
        is_simple=False,
        start=found[0].start if found else skip_blanks(text, 0),
        end=found[-1].end if found else skip_blanks(text, 0),
        commands=tuple(tuple(words) for words in reader.commands),
        is_background=is_background,
        has_background=len(operators) > is_background,
        has_both=any(token.end in starts for token in operators),
        hides_output=any(_hides(text, token) for token in found),
    )


def _target(text: bytes, token: Token) -> bytes:
    """Return the file of a redirection as it is written, b"" for /dev/null and for a descriptor."""
    raw = text[token.start + len(token.text or b"") : token.end].strip()
    return b"" if raw in (b"/dev/null", b"-") or raw.isdigit() else raw


def _is_special(text: bytes, token: Token) -> bool:
    """Tell whether a token may not be moved from its command: `<<<`, `<(…)`."""
    if token.kind == "redirect":
        return not token.plain
    return bool(re.search(rb"[<>]\(", text[token.start : token.end]))


def _may_vanish(text: bytes, token: Token) -> bool:
    """Tell whether a word begins with a substitution, whose output may be nothing.

    The command is then the substitution, and `exec` would have no command to run.
    """
    return text.startswith((b"`", b"$("), token.start)


def _hides(text: bytes, token: Token) -> bool:
    """Tell whether a token sends output to a file."""
    if token.kind != "redirect":
        return False
    raw = text[token.start : token.end]
    match = re.match(rb"(?:\d+|\{\w+\})?(&>>?|>>|>\||>&|<>|>)[ \t]*(.*)", raw, re.DOTALL)
    return bool(match) and not re.fullmatch(rb"(?:\d*)?>&[ \t]*(\d+-?|-)", raw)
