"""Reading what a server answered, be it what the contract says or not."""

import json
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crontify_cli.delivery.answers import log, retry_after, run_id, server_words
from crontify_cli.report.excerpt import units
from crontify_cli.report.mask import Masker

NOW = 1_790_000_000.0
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["message", "error", "data", "runId", "hasLog", "content"]), inner
        )
    ),
    max_leaves=8,
)
BODIES = st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode())


def test_the_run_id_is_read_past_fields_nobody_knows() -> None:
    body = b'{"success": true, "new": 1, "data": {"runId": "clyyy", "status": "running", "x": []}}'
    assert run_id(body) == "clyyy"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"[]", b"null", b"[" * 100_000, b"9" * 9999, b"\xff\xfe\x00"),
        *(b'{"data": {}}', b'{"data": {"runId": 7}}', b'{"data": {"runId": ""}}'),
        *(b'{"data": {"runId": "a\\nb"}}', b'{"data": {"runId": "\\ud800"}}'),
        b'{"data": {"runId": "%s"}}' % (b"x" * 999),
    ],
)
def test_an_answer_without_a_usable_run_id_is_no_error(body: bytes) -> None:
    assert run_id(body) is None


@pytest.mark.parametrize("form", ["%s", '{"success": true, "data": %s}'])
def test_a_log_is_read_bare_and_wrapped(form: str) -> None:
    assert log((form % '{"hasLog": true, "content": "a\\n\\ud83d\\ude00"}').encode()) == (
        True,
        "a\n😀",
    )
    assert log((form % '{"hasLog": false, "content": null}').encode()) == (False, None)
    assert log((form % '{"hasLog": true, "content": "half \\ud83d"}').encode()) == (True, "half ?")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"hasLog": true}', b'{"hasLog": 1, "content": ""}'])
def test_what_is_no_log_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="not the log"):
        log(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "Monitor not found", "error": "Not Found"}', "Monitor not found"),
        (b'{"message": ["meta.a must be a number", "b"]}', "meta.a must be a number; b"),
        (b'{"error": "Unauthorized"}', "Unauthorized"),
        (b'{"success": false, "error": {"message": "no key", "code": 1}}', "no key"),
        (b'{"message": {"a": 1}, "error": "x"}', "x"),
        (b'{"code": 17}', '{"code": 17}'),
        (b"<h1>502</h1>\r\n<hr>nginx", "<h1>502</h1> <hr>nginx"),
        (b"\x1b[31mred\0\x07", "red"),
        (b'{"message": "two\\nlines \\u001b[1mbold"}', "two lines bold"),
        (b"x" * 1000, "x" * 199 + "…"),
        (b"", "Not Found"),
        (b'{"message": ""}', '{"message": ""}'),
    ],
)
def test_a_refusal_is_told_in_the_servers_own_words(body: bytes, words: str) -> None:
    assert server_words(404, body) == words


def test_an_unknown_status_without_words_has_a_message_too() -> None:
    assert server_words(599, b"") == "no reason given"


@given(BODIES, st.integers(100, 999))
@settings(max_examples=300)
def test_no_answer_breaks_the_reading(body: bytes, status: int) -> None:
    words = server_words(status, body)
    assert 0 < units(words) <= 300
    assert words.isprintable() or not words.isascii()
    assert "\n" not in words
    words.encode()
    found = run_id(body)
    assert found is None or found


@pytest.mark.parametrize(
    ("field", "date", "words", "seconds"),
    [
        ("2", None, "", 2),
        (" 0 ", None, "", 0),
        ("1.5", None, "", 1.5),
        ("999999999", None, "", 86_400),
        (formatdate(NOW + 30, usegmt=True), None, "", 31),
        (formatdate(NOW + 30, usegmt=True), "nonsense", "", 31),
        (formatdate(NOW + 30, usegmt=True), formatdate(NOW + 20, usegmt=True), "", 10),
        (formatdate(NOW - 30, usegmt=True), None, "wait 9 seconds", 0),
        ("soon", None, "wait 9 seconds", 9),
        ("-5", None, "", None),
        ("", None, "", None),
        (None, None, "Too many requests", None),
        (None, None, "429 Too Many Requests", None),
        (None, None, "Please wait 42 seconds before pinging again", 42),
        (None, None, "Rate limit: one ping per 60 seconds. Try again in 12 seconds.", 12),
        (None, None, "One ping per 60 seconds, 12 seconds remaining", 60),
        (None, None, "try again in 42s", 42),
        (None, None, "Retry after: 42", 42),
        (None, None, "wait 1 minute", 60),
        (None, None, "Wait 1 minute and 30 seconds", 90),
        (None, None, "wait 1m30s", 90),
        (None, None, "wait 1500 ms", 1.5),
        (None, None, "next ping allowed in 0.5 seconds", 0.5),
        (None, None, "wait until 2 hours have passed", 7200),
        ("Wed, 99 Foo 2026 99:99:99 GMT", "nonsense", "wait 3 s", 3),
    ],
)
def test_how_long_to_wait_is_read_from_the_field_else_from_the_words(
    field: str | None, date: str | None, words: str, seconds: float | None
) -> None:
    assert retry_after(429, field, date, words, NOW) == seconds


def test_only_a_server_that_asks_to_wait_is_taken_at_its_words() -> None:
    words = "upstream timed out after 30 seconds"
    assert retry_after(504, None, None, words, NOW) is None
    assert retry_after(503, "7", None, words, NOW) == 7


def test_a_message_is_masked_before_it_is_cut() -> None:
    body = b"x" * 190 + b"ck_live_0123456789abcdef"
    assert server_words(400, body, Masker()) == "x" * 190 + "[masked]"


@given(st.none() | st.text(max_size=40), st.none() | st.text(max_size=40), st.text(max_size=80))
@settings(max_examples=300)
def test_no_field_and_no_words_break_the_reading(
    field: str | None, date: str | None, words: str
) -> None:
    seconds = retry_after(429, field, date, words, NOW)
    assert seconds is None or 0 <= seconds <= 86_400
