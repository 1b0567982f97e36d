"""The light reader of monitors' names against the TOML parser."""

import tomllib

import pytest
import tomli_w
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crontify_cli.complete import section_names
from tests.conftest import Crontify

NAMES = st.from_regex(r"[A-Za-z0-9_.~-]{1,12}", fullmatch=True)
# What a reader that goes by looks would take for something else.
_TEXTS = st.text(st.sampled_from("a[]{}#='\"\\\n.\t "), max_size=12) | st.sampled_from(
    ["[monitors.no]", "\n[monitors.no]\n", "'''", '"""', "monitors.no = 1", "x]\n[monitors.no"]
)
_VALUES = st.recursive(
    _TEXTS | st.integers() | st.booleans() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)
_SECTIONS = st.dictionaries(
    NAMES, st.dictionaries(NAMES, _VALUES | st.dictionaries(NAMES, _VALUES, max_size=2), max_size=3)
)
_LINES = st.sampled_from(
    [
        *("[monitors.a]", "[ monitors . b ] # c", '["monitors"."c.c"]', "[monitors.'d']"),
        *("[monitors.e.deep]", "[[monitors.f]]", "[monitors]", "[other]", "[other.monitors.no]"),
        *("monitors.g.id = 'x'", "h = {id = '[monitors.no]'} # }", "i.id = 1", "'j' = '''", "'''"),
        *('k = """\\', '[monitors.no]\\""""', "l = [ # ]", "  'x', [\"]\"],", "]", "", "# m = '''"),
        *(
            "monitors = {n = {}}",
            "'o\\' = ''''q''''",
            'p = """"q\\\\""""',
            "q = 1979-05-27T07:32:00Z",
        ),
    ]
)


def names_of(document: str) -> list[str]:
    """Return what the parser finds; raises tomllib.TOMLDecodeError."""
    sections = tomllib.loads(document).get("monitors")
    return list(sections) if isinstance(sections, dict) else []


@settings(deadline=None)
@given(st.lists(NAMES, unique=True), st.sampled_from(["\n", "\r\n", " # a ] b\n"]))
def test_names_in_plain_headers_are_found_without_a_parser(names: list[str], end: str) -> None:
    document = tomli_w.dumps({"redact": ["[x]", "#"], "monitors": {name: {} for name in names}})
    document = document.replace("]\n", f"]{end}")
    assert names_of(document) == (section_names(document) if names else [])


@settings(deadline=None)
@given(_SECTIONS, _TEXTS, st.booleans())
def test_names_in_a_written_file_are_found_or_left_to_the_parser(
    sections: dict[str, dict[str, object]], text: str, multiline: bool
) -> None:
    document = {"base_url": text, "monitors": sections, "headers": {"X-monitors": text}}
    written = tomli_w.dumps(document, multiline_strings=multiline)
    assume("\r" not in written)
    assert section_names(written) in (names_of(written), None)


@settings(deadline=None)
@given(st.lists(_LINES, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_names_are_right_however_lines_follow_each_other(lines: list[str], end: str) -> None:
    document = end.join(lines)
    try:
        expected = names_of(document)
    except tomllib.TOMLDecodeError:
        assume(False)
    assert section_names(document) in (expected, None)


@settings(deadline=None)
@given(st.text(st.sampled_from("monitrs[].\"'=#{}\\\n ab"), max_size=60))
def test_what_is_no_toml_is_read_without_an_error(text: str) -> None:
    found = section_names(text)
    assert found is None or isinstance(found, list)


@pytest.mark.parametrize(
    "document",
    [
        *('[monitors."\\u0062"]', "monitors = {a = {}}", "[monitors.a", "x = '''", "[monitors.é]"),
        *("monitors.a.id = 1", "[ monitors . a ]", "[[monitors.a]]", "[monitors.a.deep]"),
        *('["monitors".a]', '"mon\\u0069tors".a.id = 1', '["mon\\u0069tors".a]', "[monitors.a] b"),
        'x = "\u2028[monitors.no] # "',
    ],
)
def test_what_only_a_parser_can_tell_is_left_to_it(document: str) -> None:
    assert section_names(document) is None


def test_a_comment_needs_no_parser() -> None:
    assert section_names("# [monitors.no], monitors = {}\n[monitors.a]") == ["a"]


def test_what_our_own_commands_write_needs_no_toml_parser(crontify: Crontify) -> None:
    names = ("backup", "db.example", "~nightly", "2024", "-x")
    for name in names:
        done = crontify("config", "set", f"monitors.{name}.id", f"cl{name}")
        assert done.returncode == 0, done.stderr
    done = crontify("config", "set", "redact", "[no]", "'a'")
    assert done.returncode == 0, done.stderr
    with open(crontify("config", "path").stdout.strip()) as file:
        assert section_names(file.read()) == [*names]
