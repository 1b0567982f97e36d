"""What the reader makes of percent signs, settings and bytes at the edges, as the daemons do."""

import pytest

from crontify_cli.crontab.lines import read, shell_text
from crontify_cli.crontab.schedule import Dialect
from crontify_cli.crontab.shell import shape


@pytest.mark.parametrize(
    ("command", "debian", "cronie", "has_stdin"),
    [
        (b"echo a%l1%l2", b"echo a", b"echo a", True),
        (b"date +\\%F", b"date +%F", b"date +%F", False),
        (b"date '+\\%F'", b"date '+%F'", b"date '+%F'", False),
        (b'echo "+%F" z', b'echo "+', b'echo "+', True),
        (b"echo a\\\\%b", b"echo a\\", b"echo a\\\\", True),
        (b"echo a\\\\\\%b", b"echo a\\%b", b"echo a\\\\%b", False),
        (b"echo \\'%b", b"echo \\'", b"echo \\'", True),
        (b"x \\\\ y", b"x \\ y", b"x \\\\ y", False),
        (b"%foo", b"", b"", True),
        (b"echo a \\", b"echo a \\", b"echo a \\", False),
    ],
)
def test_what_the_shell_gets(command: bytes, debian: bytes, cronie: bytes, has_stdin: bool) -> None:
    wanted: dict[Dialect, bytes] = {"debian": debian, "cronie": cronie, "busybox": command}
    for dialect, text in wanted.items():
        found = shell_text(command, dialect)
        assert found.text == text
        assert found.has_stdin == (has_stdin and dialect != "busybox")
        assert len(found.origin) == len(text) + 1
        for at, byte in enumerate(text):
            assert command[found.origin[at]] in (byte, ord("\\"))


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        (b"A = 1", (b"A", b"1")),
        (b'"J K"=v', (b"J K", b"v")),
        (b"*=*", (b"*", b"*")),
        (b"=x", (b"", b"x")),
        (b"5=x", (b"5", b"x")),
        (b'N=a"b"c', (b"N", b'a"b"c')),
        (b"Q='x y'  ", (b"Q", b"x y")),
        (b'Q=" x "', (b"Q", b" x ")),
        (b"H=x # c", (b"H", b"x # c")),
        (b"P1=a\\%b", (b"P1", b"a\\%b")),
        (b"SHELL=/bin/sh\r", (b"SHELL", b"/bin/sh")),
        (b"  E = \xff ", (b"E", b"\xff")),
        (b"L=a  b c  ", (b"L", b"a  b c")),
        (b"L=a\x0b\x0c", (b"L", b"a")),
        (b"Q='a''b'", None),
        (b'Q="a\\"b"', None),
        (b'M="x" tail', None),
        (b"export A=1", None),
        (b"A B=v", None),
        (b"Q='open", None),
        (b"F=", None),
        (b"* * * * * A=b", None),
    ],
)
def test_settings(line: bytes, setting: tuple[bytes, bytes] | None) -> None:
    (found,) = read(line + b"\n", "debian")
    assert found.setting == setting
    assert (found.kind == "setting") == (setting is not None)
    assert not found.problem or setting is None


def test_cronie_takes_a_setting_without_a_value() -> None:
    assert read(b"F=\n", "cronie")[0].setting == (b"F", b"")


@pytest.mark.parametrize(
    ("line", "problems"),
    [
        (b"\r\n", ("bad minute", "bad minute", "bad minute")),
        (b"* * * * *\n", ("", "bad command", "")),
        (b"* * * * * * x\n", ("bad command", "bad command", "")),
        (b"* * * * * -n x\n", ("", "bad command", "")),
        (b"-* * * * * x\n", ("bad minute", "", "bad minute")),
        (b"* * * * * x\0\n", ("bad command",) * 3),
        (b"\xef\xbb\xbf* * * * * x\n", ("bad minute",) * 3),
        (b"@reboot x\n", ("",) * 3),
        (b"* * * *\n", ("bad day-of-week",) * 3),
    ],
)
def test_which_lines_each_daemon_rejects(line: bytes, problems: tuple[str, str, str]) -> None:
    dialects: tuple[Dialect, ...] = ("debian", "cronie", "busybox")
    assert tuple(read(line, dialect)[0].problem for dialect in dialects) == problems


def test_the_command_ends_where_the_line_does_and_for_busybox_at_a_hash() -> None:
    line = b"\t*/5\t* * *  *  curl 'http://h/p#f' \r\n"
    assert read(line, "debian")[0].command == b"curl 'http://h/p#f' \r"
    assert read(line, "busybox")[0].command == b"curl 'http://h/p"


@pytest.mark.parametrize(
    ("text", "quoted", "rest"),
    [
        (b"(a)2>f", b"(a)2>f", b""),
        (b"(a)#why", b"(a)#why", b""),
        (b"(a)>f", b"(a)", b">f"),
        (b"( a >f ) >f", b"( a >f ) >f", b""),
        (b"( a >f ) >g", b"( a >f )", b" >g"),
        (b"echo x >f # y", b"echo x", b" >f # y"),
        (b"echo x >f y", b"echo x >f y", b""),
        (b"a; b > f  ", b"a; b > f", b"  "),
        (b"cat <<< x", b"cat <<< x", b""),
        (b"x $(case a in a) b;; esac) >f", b"x $(case a in a) b;; esac) >f", b""),
        (b"f() { a; }; f > g", b"f() { a; }; f > g", b""),
        (b"if a; then b; fi >f 2>&1", b"if a; then b; fi", b" >f 2>&1"),
        (b"time a 2>f", b"time a 2>f", b""),
    ],
)
def test_what_goes_into_the_quotes(text: bytes, quoted: bytes, rest: bytes) -> None:
    found = shape(text, bash=False)
    assert not found.is_simple
    assert (text[found.start : found.end], text[found.end :]) == (quoted, rest)
