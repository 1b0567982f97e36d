"""The user's document, sentence by sentence and example by example, against the sandbox.

Sentences and examples are taken from the document itself; the last test finds a sentence
that no test has claimed.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.programs import need
from tests.sandbox.server import Server, as_printed, blanked, serving

F = TypeVar("F")

DOCUMENT = (Path(__file__).parent.parent / "data" / "seed-http-integration.txt").read_text()
START, SUCCESS, FAIL = (f"POST /ping/:monitorId/{kind}" for kind in ("start", "success", "fail"))
LOG = "GET /monitors/:monitorId/runs/:runId/log"
HEADINGS = (START, SUCCESS, FAIL, LOG, "Error responses", "Rate limiting", "Shell script example")
KINDS = ("start", "success", "fail")

_claimed: list[str] = []


def says(*sentences: str) -> Callable[[F], F]:
    """Claim sentences of the document, word for word, for a test."""
    for sentence in sentences:
        assert sentence in DOCUMENT, sentence
    _claimed.extend(sentences)
    return lambda test: test


def _section(heading: str) -> str:
    ends = dict(pairwise(HEADINGS))
    text = DOCUMENT.partition(f"\n{heading}\n")[2]
    return text.partition(f"\n{ends[heading]}\n")[0] if heading in ends else text


def example(heading: str, label: str) -> str:
    """Return the JSON that follows the line `label` under a heading of the document."""
    text = _section(heading).partition(f"\n{label}\n")[2].lstrip()
    _, end = json.JSONDecoder().raw_decode(text)
    return text[:end]


def body(heading: str) -> Any:
    return json.loads(example(heading, "Body (optional)"))


@says("All ping endpoints require an X-API-Key header with your API key.")
@pytest.mark.parametrize("kind", KINDS)
def test_all_ping_endpoints_require_an_api_key_header(server: Server, kind: str) -> None:
    path = f"/ping/{server.monitor()}/{kind}"
    assert server.http.post(path).status_code == 401
    assert server.http.post(path, headers={"X-API-Key": ""}).status_code == 401
    bearer = {"Authorization": f"Bearer {server.api_key}"}
    assert server.http.post(path, headers=bearer).status_code == 401
    assert server.http.post(path, headers={"X-API-Key": server.token}).status_code == 401
    assert server.http.post(path, headers={"X-API-Key": server.api_key}).status_code == 200


@says("X-API-Key: ck_live_...")
def test_an_api_key_begins_with_ck_live(server: Server) -> None:
    assert re.fullmatch(r"ck_live_[A-Za-z0-9]{32}", server.api_key)


@says("Base URL: https://api.crontify.com/api/v1")
def test_the_base_url_ends_in_api_v1(server: Server) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/v1", server.url)


@says("Signal that a job has started.")
def test_start_signals_that_a_job_has_started(server: Server) -> None:
    monitor = server.monitor()
    run_id = server.send(monitor, "start")
    (run,) = server.runs(monitor)
    assert (run["id"], run["status"], run["finishedAt"]) == (run_id, "running", None)


@says("Signal that a job completed successfully.")
def test_success_signals_that_a_job_completed_successfully(server: Server) -> None:
    monitor = server.monitor()
    assert server.send(monitor, "start") == server.send(monitor, "success")
    (run,) = server.runs(monitor)
    assert run["status"] == "success"
    assert run["finishedAt"] >= run["startedAt"]
    assert run["durationMs"] >= 0


@says("Signal that a job failed.")
def test_fail_signals_that_a_job_failed(server: Server) -> None:
    monitor = server.monitor()
    assert server.send(monitor, "start") == server.send(monitor, "fail")
    (run,) = server.runs(monitor)
    assert run["status"] == "failed"
    assert run["finishedAt"] >= run["startedAt"]


@says(example(START, "Response 200"))
def test_the_answer_to_a_start_is_the_examples(server: Server) -> None:
    answer = server.ping(server.monitor(), "start")
    assert answer.status_code == 200
    assert as_printed(answer) == blanked(example(START, "Response 200"))


@says(example(SUCCESS, "Response 200"), example(SUCCESS, "Body (optional)"))
def test_the_answer_to_the_success_example_is_the_examples(server: Server) -> None:
    answer = server.ping(server.monitor(), "success", body(SUCCESS))
    assert answer.status_code == 200
    assert as_printed(answer) == blanked(example(SUCCESS, "Response 200"))


@says(example(FAIL, "Response 200"), example(FAIL, "Body (optional)"))
def test_the_answer_to_the_fail_example_is_the_examples(server: Server) -> None:
    answer = server.ping(server.monitor(), "fail", body(FAIL))
    assert answer.status_code == 200
    assert as_printed(answer) == blanked(example(FAIL, "Response 200"))


def test_the_answer_names_the_monitor_the_run_and_the_time_of_arrival(server: Server) -> None:
    monitor = server.monitor()
    answer = server.ping(monitor, "start").json()["data"]
    (run,) = server.runs(monitor)
    assert answer["monitorId"] == monitor
    assert answer["runId"] == run["id"]
    assert re.fullmatch(r"cl[a-z0-9]{23}", answer["runId"])
    assert answer["timestamp"] == run["startedAt"]


@says("Content-Type: application/json", "Body (optional)")
@pytest.mark.parametrize("kind", ["success", "fail"])
def test_the_body_is_optional(server: Server, kind: str) -> None:
    monitor = server.monitor()
    assert server.ping(monitor, kind).status_code == 200
    json_without_body = {"Content-Type": "application/json"}
    assert server.ping(monitor, kind, headers=json_without_body).status_code == 200
    assert server.ping(monitor, kind, {}).status_code == 200


@says("meta is a free-form object of numeric values.")
def test_meta_is_a_free_form_object_of_numeric_values(server: Server) -> None:
    monitor = server.monitor()
    numbers = {"any name": 1, "größe.in-kB": -2.5, "": 0, "große Zahl": 2**53}
    server.send(monitor, "success", {"meta": numbers})
    assert server.runs(monitor)[0]["meta"] == numbers
    for wrong in ("1523", True, None, [1], {"n": 1}):
        answer = server.ping(monitor, "success", {"meta": {"rows": wrong}})
        assert answer.status_code == 400
        assert "meta.rows" in answer.json()["message"]
    assert server.ping(monitor, "success", {"meta": [1]}).status_code == 400
    assert len(server.runs(monitor)) == 1


@says("Fields are stored on the run record and evaluated against any alert rules you have")
def test_fields_are_stored_on_the_run_record_and_evaluated_against_rules(server: Server) -> None:
    monitor = server.monitor()
    server.rule(monitor, "emails_sent", "lt", "50")
    server.send(monitor, "success", body(SUCCESS))
    (run,) = server.runs(monitor)
    assert run["meta"] == {"rows_processed": 1523, "emails_sent": 48}
    (alert,) = server.alerts(monitor)
    assert (alert["kind"], alert["runId"]) == ("silent_failure", run["id"])


@says("configured. If a rule matches, a silent_failure alert fires even though the job succeeded.")
def test_if_a_rule_matches_a_silent_failure_alert_fires_even_though_the_job_succeeded(
    server: Server,
) -> None:
    monitor = server.monitor()
    server.rule(monitor, "rows_processed", "eq", "0")
    server.send(monitor, "success", {"meta": {"rows_processed": 1}})
    server.send(monitor, "success", {"meta": {"other": 0}})
    assert server.alerts(monitor) == []
    run_id = server.send(monitor, "success", {"meta": {"rows_processed": 0}})
    (alert,) = server.alerts(monitor)
    assert (alert["kind"], alert["runId"]) == ("silent_failure", run_id)
    assert "rows_processed" in alert["message"]
    assert {run["status"] for run in server.runs(monitor)} == {"success"}


@says("errorMessagestringHuman-readable error message. Shown in alerts and on the run detail page.")
def test_the_error_message_is_shown_in_alerts_and_on_the_run(server: Server) -> None:
    monitor = server.monitor()
    server.send(monitor, "fail", body(FAIL))
    message = "Database connection timeout after 30s"
    assert server.runs(monitor)[0]["errorMessage"] == message
    (alert,) = server.alerts(monitor)
    assert (alert["kind"], alert["message"]) == ("failure", message)


@says("Max 500 chars.")
def test_an_error_message_has_at_most_500_characters(server: Server) -> None:
    monitor = server.monitor()
    for fits in ("é" * 500, "\U0001f600" * 250):
        server.send(monitor, "fail", {"errorMessage": fits})
        assert server.runs(monitor)[0]["errorMessage"] == fits
    for too_long in ("é" * 501, "\U0001f600" * 250 + "!"):
        answer = server.ping(monitor, "fail", {"errorMessage": too_long})
        assert answer.status_code == 400
        assert "errorMessage" in answer.json()["message"]
        assert "500" in answer.json()["message"]
    assert len(server.runs(monitor)) == 2


@says("metaobjectNumeric metadata stored on the run record.")
def test_the_meta_of_a_fail_is_numeric_and_stored_on_the_run_record(server: Server) -> None:
    monitor = server.monitor()
    server.send(monitor, "fail", body(FAIL))
    assert server.runs(monitor)[0]["meta"] == {"exit_code": 1}
    answer = server.ping(monitor, "fail", {"meta": {"exit_code": "1"}})
    assert answer.status_code == 400


@says("logOutputstringFull log output (stdout/stderr).")
def test_the_log_output_is_kept_as_it_was_sent(server: Server) -> None:
    monitor = server.monitor()
    log = body(FAIL)["logOutput"] + "\r\n\t\x1b[31mred\x1b[0m \x00 \U0001f600\n\n"
    run_id = server.send(monitor, "fail", {"logOutput": log})
    assert server.log(monitor, run_id) == {"hasLog": True, "content": log}


@says("Stored separately and never fetched in list queries.")
def test_the_log_is_stored_separately_and_never_fetched_in_list_queries(server: Server) -> None:
    monitor = server.monitor()
    server.send(monitor, "fail", {"logOutput": "needle"})
    lists = ("/monitors", f"/monitors/{monitor}", f"/monitors/{monitor}/runs")
    assert not any("needle" in server.get(path).text for path in lists)
    (run,) = server.runs(monitor)
    assert run["hasLog"] is True
    assert "logOutput" not in run


@says("Truncated to 10,000 chars server-side.")
def test_the_log_is_truncated_to_its_first_10000_characters(server: Server) -> None:
    monitor = server.monitor()
    for sent, kept in [
        ("a" * 10_000, "a" * 10_000),
        ("a" * 9_999 + "bc", "a" * 9_999 + "b"),
        ("\U0001f600" * 5_001, "\U0001f600" * 5_000),
        ("a" + "\U0001f600" * 5_000, "a" + "\U0001f600" * 4_999),
    ]:
        run_id = server.send(monitor, "fail", {"logOutput": sent})
        assert server.log(monitor, run_id)["content"] == kept


@says("Retrieve the log output attached to a specific run.")
def test_the_log_is_that_of_the_specific_run(server: Server) -> None:
    monitor, other = server.monitor(), server.monitor()
    runs = {text: server.send(monitor, "fail", {"logOutput": text}) for text in ("one", "two")}
    for text, run_id in runs.items():
        assert server.log(monitor, run_id)["content"] == text
    assert server.get(f"/monitors/{other}/runs/{runs['one']}/log").status_code == 404
    assert server.get(f"/monitors/{monitor}/runs/clnone/log").status_code == 404


@says("Requires a user JWT (not an API key).")
def test_the_log_requires_a_user_jwt_not_an_api_key(server: Server) -> None:
    monitor = server.monitor()
    path = f"/monitors/{monitor}/runs/{server.send(monitor, 'fail')}/log"
    for headers in (
        {},
        {"X-API-Key": server.api_key},
        {"Authorization": f"Bearer {server.api_key}"},
        {"Authorization": f"Basic {server.token}"},
        {"Authorization": f"Bearer {server.token[:-2]}"},
    ):
        assert server.http.get(path, headers=headers).status_code == 401, headers
    assert server.get(path).status_code == 200


@says(example(LOG, "Response 200 — log present"))
def test_the_answer_with_a_log_is_the_examples(server: Server) -> None:
    shown = example(LOG, "Response 200 — log present")
    monitor = server.monitor()
    run_id = server.send(monitor, "fail", {"logOutput": json.loads(shown)["content"]})
    assert as_printed(server.get(f"/monitors/{monitor}/runs/{run_id}/log")) == shown


@says(example(LOG, "Response 200 — no log"))
@pytest.mark.parametrize(
    ("kind", "sent"), [("start", None), ("success", {}), ("fail", {}), ("fail", {"logOutput": ""})]
)
def test_the_answer_without_a_log_is_the_examples(server: Server, kind: str, sent: object) -> None:
    monitor = server.monitor()
    run_id = server.send(monitor, kind, sent)
    answer = server.get(f"/monitors/{monitor}/runs/{run_id}/log")
    assert as_printed(answer) == example(LOG, "Response 200 — no log")


@says("401Missing or invalid API key")
@pytest.mark.parametrize("kind", KINDS)
def test_401_is_a_missing_or_invalid_api_key(server: Server, kind: str) -> None:
    path = f"/ping/{server.monitor()}/{kind}"
    for headers in ({}, {"X-API-Key": "ck_live_wrong"}, {"X-API-Key": server.api_key + "x"}):
        answer = server.http.post(path, headers=headers)
        assert answer.status_code == 401
        assert "API key" in answer.json()["message"]


@says("404Monitor not found or does not belong to this API key's account")
@pytest.mark.parametrize("kind", KINDS)
def test_404_is_a_monitor_not_found_or_of_another_account(server: Server, kind: str) -> None:
    missing = server.ping("clnowhere", kind)
    foreign = server.ping(server.monitor(account="other"), kind)
    assert (missing.status_code, foreign.status_code) == (404, 404)
    assert missing.json() == foreign.json()
    assert "Monitor not found" in missing.json()["message"]


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("free") / "sandbox.db", "--plan", "free") as running:
        yield running


@says("429Rate limit exceeded — see your plan's minimum ping interval")
def test_429_is_a_rate_limit_exceeded(free: Server) -> None:
    monitor = free.monitor()
    free.send(monitor, "start")
    answer = free.ping(monitor, "success")
    assert answer.status_code == 429
    assert answer.json()["message"].startswith("Rate limit exceeded")


@says("Ping endpoints are rate-limited based on your plan's minimum interval.")
@pytest.mark.parametrize("kind", KINDS)
def test_every_ping_endpoint_is_rate_limited(free: Server, kind: str) -> None:
    monitor = free.monitor()
    free.send(monitor, "start")
    assert free.ping(monitor, kind).status_code == 429
    assert [run["status"] for run in free.runs(monitor)] == ["running"]


@says("The free plan allows one ping per minute per monitor;")
def test_the_free_plan_allows_one_ping_per_minute_per_monitor(free: Server) -> None:
    monitors = [free.monitor(), free.monitor()]
    for monitor in monitors:
        free.send(monitor, "start")
        assert 58 <= int(free.ping(monitor, "success").headers["Retry-After"]) <= 60


@says("paid plans allow more frequent pings.")
def test_paid_plans_allow_more_frequent_pings(server: Server) -> None:
    monitor = server.monitor()
    assert {server.ping(monitor, kind).status_code for kind in KINDS * 3} == {200}


@says(
    "If you exceed the limit, you'll receive a 429 response with a message indicating how many"
    " seconds to wait."
)
def test_the_message_of_a_429_says_how_many_seconds_to_wait(free: Server) -> None:
    monitor = free.monitor()
    free.send(monitor, "start")
    answer = free.ping(monitor, "success")
    (seconds,) = re.findall(r"(\d+) seconds", answer.json()["message"])
    assert seconds == answer.headers["Retry-After"]


JOB = """\
import os, sys
print('42 rows of "orders"\\tread: größer \\\\ $HOME %d')
if os.path.exists("broken"):
    raise ConnectionError("connection refused")
"""


@says(
    "If you're not using the Node.js SDK — for example, from a shell script, Python job, or any"
    " other language — you can send pings directly over HTTP.",
    _section("Shell script example").strip(),
)
def test_the_shell_script_works_with_only_its_four_words_replaced(
    server: Server, tmp_path: Path
) -> None:
    need("bash", "curl")
    monitor, job = server.monitor(), tmp_path / "job.py"
    job.write_text(JOB)
    script = _section("Shell script example").strip()
    for old, new in (
        ("ck_live_...", server.api_key),
        ("clxxx...", monitor),
        ("https://api.crontify.com/api/v1", server.url),
        ("/path/to/job.py", str(job)),
    ):
        assert script.count(old) == 1
        script = script.replace(old, new)

    def run() -> None:
        subprocess.run(["bash"], input=script, text=True, cwd=tmp_path, check=True, timeout=60)

    run()
    (tmp_path / "broken").touch()
    run()
    failed, succeeded = server.runs(monitor)
    assert (failed["status"], succeeded["status"]) == ("failed", "success")
    assert succeeded["meta"] == {"exit_code": 0}
    assert failed["errorMessage"] == "Job exited with code 1"
    printed = subprocess.run(
        ["python3", job],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout
    assert "ConnectionError" in printed
    assert server.log(monitor, failed["id"]) == {"hasLog": True, "content": printed}


def test_no_sentence_of_the_document_is_without_a_test() -> None:
    rest = DOCUMENT.replace("Skip to main content\n\nHTTP Integration\n", "", 1)
    for words in sorted([*_claimed, *HEADINGS], key=len, reverse=True):
        rest = rest.replace(words, "")
    labels = ("Headers", "Response 200 — log present", "Response 200 — no log", "Response 200")
    for label in (*labels, "FieldTypeDescription", "StatusMeaning"):
        rest = rest.replace(label, "")
    assert rest.split() == []
