"""The OpenAPI schema that the sandbox publishes, and hundreds of generated requests against it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.server import Server, environment, serving

SEED = "20261125"
TIMES = int(os.environ.get("SCHEMA_TIMES", "1"))
"""So many times as many requests are made; with 3, over 2,000."""
PARTS = {
    "pings": ("examples,coverage,fuzzing", "/ping/", 80, 300),
    "lists": ("examples,coverage,fuzzing", "/(monitors|alerts|channels)", 40, 450),
    "chains": ("stateful", "", 20, 130),
}
"""Phases of schemathesis, the paths, how many cases of an operation, how many requests these
are at least; in parts, since making a case takes longer than asking does."""

# A schema cannot say that a cursor is one of those that were given out.
CONFIG = """\
headers = { X-API-Key = "${KEY}", Authorization = "Bearer ${TOKEN}" }
seed = SEED

[cache]
enabled = false

[[operations]]
include-path = "/api/v1/events"  # an answer that does not end
enabled = false

[[operations]]
include-path = ["/api/v1/monitors/{monitorId}/runs", "/api/v1/monitors/{monitorId}/alerts"]
[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "404"]

[[operations]]
include-path = "/api/v1/alerts"
[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", "400", "401"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A sandbox of its own: what is generated depends on what the lists have."""
    with serving(tmp_path_factory.mktemp("fuzzed") / "sandbox.db") as running:
        running.command("monitor", "add", "backup")  # the schema's example
        yield running


@pytest.fixture(scope="module")
def schema(server: Server) -> Any:
    answer = server.http.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def test_the_schema_has_each_endpoint_with_its_refusals(schema: Any) -> None:
    found = {
        (method.upper(), path.removeprefix("/api/v1")): sorted(operation["responses"])
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    }
    with_body = ["200", "400", "401", "404", "413", "415", "429", "503"]
    assert found == {
        ("POST", "/ping/{monitorId}/start"): ["200", "401", "404", "413", "429", "503"],
        ("POST", "/ping/{monitorId}/success"): with_body,
        ("POST", "/ping/{monitorId}/fail"): with_body,
        ("GET", "/events"): ["200", "401", "413", "503"],
        ("GET", "/monitors"): ["200", "401", "413", "503"],
        ("GET", "/monitors/{monitorId}"): ["200", "401", "404", "413", "503"],
        ("GET", "/monitors/{monitorId}/runs"): ["200", "400", "401", "404", "413", "503"],
        ("GET", "/monitors/{monitorId}/runs/{runId}"): ["200", "401", "404", "413", "503"],
        ("GET", "/monitors/{monitorId}/runs/{runId}/log"): ["200", "401", "404", "413", "503"],
        ("GET", "/monitors/{monitorId}/alerts"): ["200", "400", "401", "404", "413", "503"],
        ("GET", "/monitors/{monitorId}/channels"): ["200", "401", "404", "413", "503"],
        ("GET", "/alerts"): ["200", "400", "401", "413", "503"],
        ("GET", "/channels"): ["200", "401", "413", "503"],
    }


def test_the_schema_says_which_endpoints_crontify_does_not_have(schema: Any) -> None:
    assert "`additions`" in schema["info"]["description"]
    documented = {
        path.removeprefix("/api/v1")
        for path, operations in schema["paths"].items()
        for operation in operations.values()
        if "additions" not in operation["tags"]
    }
    assert documented == {
        *("/ping/{monitorId}/start", "/ping/{monitorId}/success", "/ping/{monitorId}/fail"),
        "/monitors/{monitorId}/runs/{runId}/log",
    }


def test_the_schema_says_which_key_or_token_each_endpoint_wants(schema: Any) -> None:
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            wanted = "apiKey" if "/ping/" in path else "userToken"
            assert operation["security"] == [{wanted: []}]


def test_answers_have_no_field_beyond_the_schema(schema: Any) -> None:
    shapes = schema["components"]["schemas"]
    answers = {name: shape for name, shape in shapes.items() if name.endswith(("Answer", "Data"))}
    assert len(answers) >= 7
    assert all(shape["additionalProperties"] is False for shape in answers.values())


@pytest.mark.parametrize("part", PARTS)
def test_hundreds_of_generated_requests_find_no_answer_outside_the_schema(
    server: Server, tmp_path: Path, part: str
) -> None:
    phases, paths, cases, at_least = PARTS[part]
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.replace("SEED", SEED))
    environ = {**environment(), "KEY": server.api_key, "TOKEN": server.token}
    environ |= {"PYTHONHASHSEED": "0", "HOME": os.environ["HOME"], "COLUMNS": "120"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
            *(f"{server.url}/openapi.json", "--phases", phases, "--no-color"),
            *("--max-examples", str(TIMES * cases), "--generation-database", "none"),
            *(("--include-path-regex", paths) if paths else ()),
        ],
        env=environ,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    sent = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert sent, done.stdout
    assert int(sent[2]) >= at_least, done.stdout
