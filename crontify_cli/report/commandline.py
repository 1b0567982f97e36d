"""Finds passwords in the arguments of well-known commands, such as `curl -u USER:PASSWORD`."""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from crontify_cli.report.spans import Span


class _Rule(NamedTuple):
    """Which argument of a command is a password.

    programs: the command, a regular expression; its beginnings are in `_LITERALS`.
    option: whose value is a password, in the next word or in the rest of its own; "" for the
        last word of the command.
    user: what stands between a user's name and the password in the value; "" if it has no name.
    needs: a word that has to come first.
    is_attached: the value is never in the next word.
    """

    programs: str
    option: str
    user: str = ""
    needs: str = ""
    is_attached: bool = False


_RULES = (
    _Rule("curl", r"-[A-Za-z#]*?[uU]|--(?:proxy-)?user", ":"),
    _Rule("sshpass", "-p"),
    _Rule(r"mysql[a-z_-]*|mariadb[a-z_-]*", "-p", is_attached=True),
    _Rule("docker|podman|buildah|skopeo|nerdctl|helm|oras|az|oc", "-p", needs="login"),
    _Rule("mongo[a-z]*", "-p"),
    _Rule("redis-cli", "-a"),
    _Rule("ldap[a-z]+", "-w"),
    _Rule("7z[ar]?|rar|unrar", "-h?p", is_attached=True),
    _Rule("zip|unzip", "-P"),
    _Rule("sqlcmd|bcp|ipmitool", "-P"),
    _Rule("smbclient|rpcclient", "-U|--user", "%"),
    _Rule("lftp", "-u", ","),
    _Rule("openssl", "-pass(?:in|out)?", "pass:"),
    _Rule("htpasswd", "", needs="-[a-zA-Z]*b[a-zA-Z]*"),
    _Rule("vault", "", needs="login"),
    _Rule("snmp[a-z]+", "-[AX]"),
)
_LITERALS = (
    *(b"curl", b"sshpass", b"mysql", b"mariadb", b"login", b"mongo", b"redis-cli", b"ldap", b"7z"),
    *(b"rar", b"zip", b"sqlcmd", b"bcp", b"ipmitool", b"smbclient", b"rpcclient", b"lftp"),
    *(b"openssl", b"htpasswd", b"snmp"),
)
_WORD = rb"""(?:'[^'\n]*+'|"(?:[^"\\\n]|\\.)*+"|\\[^\n]|[^\s'"\\|;&<>()])++"""
_MOST_WORDS = 60
_COMMAND = (
    rb"(?<![\w.-])(?:" + "|".join(rule.programs for rule in _RULES).encode() + rb")(?![\w.-])"
    rb"(?:(?:[ \t]|\\\n)++" + _WORD + rb"){1,%d}+" % _MOST_WORDS
)
_HARMLESS = r"\$.*|%\w+%|[0-9.:]+(?:/(?:tcp|udp))?|\[masked\].*|-|"


def option_spans(data: bytes) -> Iterator[Span]:
    """Yield where a text (UTF-8) has the password of a command."""
    if not any(literal in data for literal in _LITERALS):
        return
    for command in re.finditer(_COMMAND, data):
        if not re.search(rb"""[\s'"]-|login""", command[0]):
            continue
        found = list(re.compile(_WORD).finditer(data, *command.span()))
        words = [word[0].decode("utf-8", "surrogateescape") for word in found]
        quoted = [len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" for word in words]
        bare = [
            word[quotes : len(word) - quotes] for word, quotes in zip(words, quoted, strict=True)
        ]
        for at, start in option_values(bare):
            before = len(bare[at][:start].encode("utf-8", "surrogateescape"))
            yield found[at].start() + quoted[at] + before, found[at].end() - quoted[at]


def option_values(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield which words of a command line are passwords, and where in the word each begins."""
    rules: tuple[_Rule, ...] = ()
    first = 0
    for at, word in enumerate(words):
        if new := _rules_of(word):
            rules, first = new, at
        is_option = word.startswith("-") or words[at - 1].startswith("-")
        for rule in rules if is_option or at == len(words) - 1 else ():
            if rule.needs and not any(re.fullmatch(rule.needs, w) for w in words[first:at]):
                continue
            start = _value_start(rule, words, at)
            if start is not None and not re.fullmatch(_HARMLESS, word[start:]):
                yield at, start


@functools.lru_cache(maxsize=256)
def _rules_of(word: str) -> tuple[_Rule, ...]:
    program = word.rpartition("/")[2]
    return tuple(rule for rule in _RULES if re.fullmatch(rule.programs, program))


def _value_start(rule: _Rule, words: Sequence[str], at: int) -> int | None:
    """Return where the password begins in the word `at`, None if it has none."""
    word, start = words[at], 0
    if not rule.option:
        return 0 if at == len(words) - 1 and not word.startswith("-") else None
    if rule.is_attached or not re.fullmatch(rule.option, words[at - 1]):
        match = re.match(f"(?:{rule.option})=?", word)
        if not match or not word[match.end() :]:
            return None
        start = match.end()
    if not rule.user:
        return start
    user, separator, _ = word[start:].partition(rule.user)
    return start + len(user + separator) if separator else None
