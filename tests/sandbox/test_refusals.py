"""Whatever is wrong with a request, it is a clear 4xx in one shape, and nothing is recorded."""

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.sandbox.server import Server

JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024


class Answer(NamedTuple):
    """A refusal: its status, its message and its headers, names in lower case."""

    status: int
    message: str
    headers: Mapping[str, str]


def send(
    server: Server,
    method: str,
    path: str,
    body: bytes | Iterator[bytes] | None = None,
    headers: Mapping[str, str] = {},
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request as it is, with key and token: httpx would mend paths and bodies."""
    url = urlsplit(server.url)
    assert url.hostname
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    access = {"X-API-Key": server.api_key, "Authorization": f"Bearer {server.token}"}
    try:
        connection.request(method, url.path + path, body, {**access, **headers})
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, names, answer.read()
    finally:
        connection.close()


def refused(server: Server, *request: Any) -> Answer:
    """Return the refusal of a request; it must have the one shape of errors."""
    status, headers, body = send(server, *request)
    assert 400 <= status < 500, (status, body)
    assert headers["content-type"] == "application/json"
    answer = json.loads(body)
    assert set(answer) == {"success", "message"}
    assert answer["success"] is False
    assert answer["message"]
    assert answer["message"].isprintable()
    return Answer(status, answer["message"], headers)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("success", b"[", "not JSON"),
        ("success", b"not json", "not JSON: Expecting value at character 0"),
        ("success", b"[]", "body: must be a JSON object"),
        ("success", b'"meta"', "body: must be a JSON object"),
        ("success", b"[" * 100_000, "nested too deep"),
        ("success", b'{"meta": ' + b'{"a": ' * 100_000, "nested too deep"),
        ("success", b'{"meta": {"\xff": 1}}', "not encoded in UTF-8"),
        ("success", b'{"meta": []}', "meta: must be a JSON object"),
        ("success", b'{"meta": {"rows": "1523"}}', "meta.rows: must be a number"),
        ("success", b'{"meta": {"rows": true}}', "meta.rows: must be a number"),
        ("success", b'{"meta": {"rows": null}}', "meta.rows: must be a number"),
        ("success", b'{"meta": {"rows": {"a": 1}}}', "meta.rows: must be a number"),
        ("success", b'{"meta": {"rows": NaN}}', "meta.rows: must be a finite number"),
        ("success", b'{"meta": {"rows": -Infinity}}', "meta.rows: must be a finite number"),
        ("success", b'{"meta": {"rows": 1e999}}', "meta.rows: must be a finite number"),
        ("success", b'{"meta": {"rows": 1%s}}' % (b"0" * 400), "must be a number that fits"),
        ("success", b'{"meta": {"rows": 1%s}}' % (b"0" * 9_000), "a number in it is too long"),
        ("success", b'{"meta": {"\\ud800": 1}}', "half of a surrogate pair"),
        ("fail", b'{"errorMessage": "a\\ud800"}', "errorMessage: contains half of a surrogate"),
        ("fail", b'{"logOutput": "\\udc00a"}', "logOutput: contains half of a surrogate pair"),
        ("fail", b'{"errorMessage": 5}', "errorMessage: must be a string"),
        ("fail", b'{"logOutput": ["a"]}', "logOutput: must be a string"),
        ("fail", b'{"errorMessage": "%s"}' % (b"x" * 501), "at most 500 characters, not 501"),
        ("fail", b'{"meta": {"a": "x"}, "logOutput": 1}', "meta.a: must be a number; logOutput:"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_a_body_that_is_not_what_the_document_says_is_400_and_names_the_field(
    server: Server, kind: str, body: bytes, words: str
) -> None:
    monitor = server.monitor()
    answer = refused(server, "POST", f"/ping/{monitor}/{kind}", body, JSON)
    assert answer.status == 400
    assert words in answer.message
    assert len(answer.message) < 300
    assert server.runs(monitor) == []


@pytest.mark.parametrize(
    ("body", "meta"),
    [
        (b'{"meta": {"a": 1, "a": 2}}', {"a": 2}),  # as JavaScript's JSON.parse
        (b'{"meta": {"a": 9007199254740993}}', {"a": 9007199254740992}),  # as its numbers
        (b'{"meta": {"a": -0.0, "b": 1e2}}', {"a": 0, "b": 100}),
        (b'{"meta": {"a": 1e308}, "more": ["fields", {}]}', {"a": 1e308}),
        (b'{"meta": null}', None),
        (b'{"meta": {}}', None),
        (b"null", None),
        (b"  {}  ", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_odd_but_json_is_taken_as_a_javascript_server_would(
    server: Server, body: bytes, meta: object
) -> None:
    monitor = server.monitor()
    status, _, answer = send(server, "POST", f"/ping/{monitor}/success", body, JSON)
    assert status == 200, answer
    assert server.runs(monitor)[0]["meta"] == meta


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "json", "multipart/form-data", ""]
)
def test_another_content_type_is_415_and_the_message_says_which_is_wanted(
    server: Server, kind: str
) -> None:
    monitor = server.monitor()
    sent = ("POST", f"/ping/{monitor}/success", b'{"meta": {"a": 1}}', {"Content-Type": kind})
    answer = refused(server, *sent)
    assert answer.status == 415
    assert "Content-Type: application/json" in answer.message
    assert server.runs(monitor) == []


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON"])
def test_the_content_type_may_have_a_charset_and_any_case(server: Server, kind: str) -> None:
    sent = ("POST", f"/ping/{server.monitor()}/success", b'{"meta": {"a": 1}}')
    assert send(server, *sent, {"Content-Type": kind})[0] == 200


def _pieces(size: int) -> Iterator[bytes]:
    for start in range(0, size, 65536):
        yield b" " * min(65536, size - start)


@pytest.mark.parametrize("kind", ["start", "success", "fail"])
@pytest.mark.parametrize("size", [MIB + 1, 12 * MIB])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_one_mebibyte_is_413_with_its_length_said_or_not(
    server: Server, kind: str, size: int, chunked: bool
) -> None:
    path = f"/ping/{server.monitor()}/{kind}"
    body = _pieces(size) if chunked else b" " * size  # http.client sends an iterator in chunks
    answer = refused(server, "POST", path, body, JSON)
    assert answer.status == 413
    assert str(MIB) in answer.message


def test_a_body_of_one_mebibyte_is_taken(server: Server) -> None:
    monitor = server.monitor()
    head, tail = b'{"logOutput": "', b'"}'
    body = head + b"x" * (MIB - len(head) - len(tail)) + tail
    for sent in (body, iter([body])):
        assert send(server, "POST", f"/ping/{monitor}/fail", sent, JSON)[0] == 200
    run = server.runs(monitor)[0]["id"]
    assert server.log(monitor, run)["content"] == "x" * 10_000


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        *((f"/ping/{{}}/{kind}", "POST") for kind in ("start", "success", "fail")),
        *((path, "GET") for path in ("/monitors", "/monitors/{}", "/monitors/{}/runs")),
        ("/monitors/{}/runs/clrun/log", "GET"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_a_wrong_method_is_405_and_says_which_is_allowed(
    server: Server, path: str, allowed: str, method: str
) -> None:
    if method == allowed:
        return
    monitor = server.monitor()
    answer = refused(server, method, path.format(monitor))
    assert answer.status == 405
    assert answer.headers["allow"] == allowed
    assert method in answer.message
    assert server.runs(monitor) == []


ODD = [
    *("a%2Fb", "a%00b", "%00", "%0D%0AX-Header:1", "%1B[2J", "%FF", "%F0%9F%98%80", "%", "%zz"),
    *("..", "%2e%2e", "a%20b", "'%20OR%20'1'='1", "", "x" * 129, "x" * 10_000, "x" * 60_000),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda text: repr(text[:20]))
def test_an_odd_id_is_404(server: Server, odd: str) -> None:
    monitor = server.monitor()
    for method, path in (
        *(("POST", f"/ping/{odd}/{kind}") for kind in ("start", "success", "fail")),
        ("GET", f"/monitors/{odd}/runs"),
        ("GET", f"/monitors/{odd}/runs/clrun/log"),
        ("GET", f"/monitors/{monitor}/runs/{odd}/log"),
    ):
        assert refused(server, method, path).status == 404


@pytest.mark.parametrize("path", ["/", "/ping", "/ping/{}", "/ping/{}/start/", "/ping/{}/stop"])
def test_an_address_that_is_not_there_is_404_and_repeats_it(server: Server, path: str) -> None:
    path = path.format(server.monitor())
    answer = refused(server, "POST", path)
    assert answer.status == 404
    assert path in answer.message


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"limit={limit}", "limit") for limit in ("0", "101", "-1", "x", "1.5", "%00", "9" * 40)),
        *((f"status={status}", "status") for status in ("lost", "", "SUCCESS", "%ff")),
        *((f"cursor={cursor}", "cursor") for cursor in ("", "clnone", "%00", "%F0%9F%98%80")),
    ],
)
def test_a_query_that_makes_no_sense_is_400_and_names_the_field(
    server: Server, query: str, field: str
) -> None:
    answer = refused(server, "GET", f"/monitors/{server.monitor()}/runs?{query}")
    assert answer.status == 400
    assert answer.message.startswith(f"{field}: ")


@pytest.mark.parametrize("key", ["ck_live_", "\xff", "x" * 20_000, "a, b"])
def test_an_odd_key_is_401(server: Server, key: str) -> None:
    path = f"/ping/{server.monitor()}/start"
    assert refused(server, "POST", path, None, {"X-API-Key": key}).status == 401


@pytest.mark.parametrize(
    "word",
    [
        *("", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Bearer \xff"),
        "Bearer " + "x" * 9_000,
        # {"alg": "none"} and {"sub": "1"}, without a signature
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_an_odd_token_is_401(server: Server, word: str) -> None:
    assert refused(server, "GET", "/monitors", None, {"Authorization": word}).status == 401
