"""The page's files as the sandbox serves them; test_browser.py opens them in a browser."""

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.programs import PROGRAM
from tests.sandbox.server import Server, environment, serving

FILES = {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}
KIB = 1024


def fetch(server: Server, path: str) -> httpx.Response:
    """Return one of the files, requested without a token, as a browser requests it."""
    return httpx.get(httpx.URL(server.url).join(path), timeout=60)


@pytest.mark.parametrize("path", FILES)
def test_each_file_is_served_confined_to_its_origin(server: Server, path: str) -> None:
    answer = fetch(server, path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == FILES[path]
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'self'"
    assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} < set(policy)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_script_and_style_are_small_and_load_nothing_from_elsewhere(server: Server) -> None:
    files = {path: fetch(server, path).text for path in FILES}
    assert len(files["/page.js"].encode()) < 25 * KIB
    assert len(files["/page.css"].encode()) < 10 * KIB
    namespace = "http://www.w3.org/2000/svg"
    for text in files.values():
        assert not re.search(r"(https?:)?//\w", text.replace(namespace, "")), "another origin"
    assert not re.search(r"<style|<script(?! type=\"module\" src=)|\sstyle=|\son\w+=", files["/"])
    assert "import" not in re.findall(r"^\w+", files["/page.js"], re.MULTILINE)


def test_the_files_need_no_query_and_the_rest_is_no_page(server: Server) -> None:
    assert fetch(server, "/?utm=1").text == fetch(server, "/").text
    assert fetch(server, "/favicon.ico").status_code == 204
    for path in ("/index.html", "/page", "/../page.js/x", "/web/page.js"):
        assert fetch(server, path).status_code == 404
    assert "/" not in server.http.get("/openapi.json").json()["paths"]


def test_serve_prints_a_link_whose_fragment_is_a_valid_token(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    for _ in range(2):  # the key is printed only at the first start, the link always
        done = subprocess.run(
            [*PROGRAM, "sandbox", "serve", "--port", "0", "--until-stdin-closes", "--db", str(db)],
            env=environment(),
            input="",
            capture_output=True,
            text=True,
            check=True,
        )
        assert "\nAdd a monitor:     crontify sandbox monitor add backup --db " in done.stdout
        link = re.search(r"^(http://127\.0\.0\.1:\d+)/#token=(\S+)$", done.stdout, re.MULTILINE)
        assert link, done.stdout
        with serving(db) as server:
            headers = {"Authorization": f"Bearer {link[2]}"}
            assert server.http.get("/monitors", headers=headers).status_code == 200


def test_the_json_line_of_serve_has_the_link(server: Server) -> None:
    assert server.page == f"{server.url.removesuffix('/api/v1')}/#token={server.token}"
