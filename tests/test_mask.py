"""Secrets stay on this machine, and what is no secret stays readable."""

import base64
import json
import subprocess
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crontify_cli.report.mask import Masker, secret_values

SECRET = 'p@ss"wörd/<with> %\\odds'
VALUES = st.text(st.sampled_from('ab1"\\/ %@\né'), min_size=8, max_size=12)


def test_every_occurrence_of_every_secret_is_masked_and_nothing_else() -> None:
    mask = Masker(["hunter2-hunter2", "correct-horse"])
    text = "a hunter2-hunter2, (correct-horse)hunter2-hunter2 z"
    assert mask(text) == "a [masked], ([masked])[masked] z"
    assert mask("hunter2-hunter, correct horse") == "hunter2-hunter, correct horse"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode() + b"\n").decode()[:-4],
    ],
)
def test_a_secret_is_found_in_the_forms_in_which_it_is_printed(form: str) -> None:
    masked = Masker([SECRET])(f"<{form}>")
    assert masked.replace('"', "").replace("'", "").replace("=", "") == "<[masked]>"


def test_a_secret_that_is_no_utf_8_is_found_in_decoded_output() -> None:
    raw = b"hunter2-\xff\xfe-hunter2"
    mask = Masker([raw.decode("utf-8", "surrogateescape")])
    assert mask(raw.decode("utf-8", "replace")) == "[masked]"


def test_of_two_secrets_that_overlap_no_rest_is_left() -> None:
    mask = Masker(["abcdefgh1234", "1234zzzzyyyy", "abcdefgh"])
    assert mask("abcdefgh1234zzzzyyyy") == "[masked]"
    assert mask("abcdefgh1234 abcdefgh") == "[masked] [masked]"
    assert Masker(["abababab"])("xabababababx") == "x[masked]x"


def test_each_line_of_a_secret_with_several_lines_is_masked() -> None:
    pem = "-----BEGIN KEY-----\r\nMIIEvQIBADANBgkq\r\nhkiG9w0BAQEFAASC\r\n-----END KEY-----\r\n"
    mask = Masker([pem])
    assert mask(pem.replace("\r", "")) == "[masked]\n"
    assert mask("read MIIEvQIBADANBgkq there") == "read [masked] there"


def test_short_values_are_words_unless_they_are_ours() -> None:
    assert Masker(["seven77"])("seven77") == "seven77"
    assert Masker([], own=["ours"])("ours seven77") == "[masked] seven77"
    assert Masker([], own=["the", ""])("the end") == "the end"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key ck_live_4f9a8b7c6d end", "key [masked] end"),
        ("ck_test_0123-abc_d", "[masked]"),
        (
            "curl -H 'Authorization: Bearer abcdef123456'",
            "curl -H 'Authorization: Bearer [masked]'",
        ),
        ('{"authorization":"Basic dXNlcjpwYXNz"}', '{"authorization":"Basic [masked]"}'),
        ("X-Api-Key: abcdefgh", "X-Api-Key: [masked]"),
        ("t=eyJhbGciOiJI.eyJzdWIiOiIx.c2ln-_A ok", "t=[masked] ok"),
        ("postgres://app:s3cret@db:5432/x", "postgres://app:[masked]@db:5432/x"),
        ("redis://:s3cret@cache", "redis://:[masked]@cache"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nvQIB\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----[masked]-----END RSA PRIVATE KEY-----",
        ),
    ],
)
def test_unmistakable_shapes_are_masked_whoever_they_belong_to(text: str, masked: str) -> None:
    assert Masker()(text) == masked
    assert Masker()(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: failed for user bob",
        "authorization = required",
        "authorization token refreshed",
        "http://host:8080/a@b and mail bob@example.com",
        "ck_live_… and ck_live keys",
        "eyJust a word.eyJ",
        "token refreshed, password accepted",
    ],
)
def test_what_only_sounds_like_a_secret_stays(text: str) -> None:
    assert Masker()(text) == text


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "aaaaaaab", "eyJ", "eyJaaaaaaaa.", "ck_live_", "://", "://a:", "authorization", "-"),
        *("x-api-key: ", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----"),
    ],
)
def test_masking_a_mebibyte_takes_steps_in_proportion(unit: str) -> None:
    """No clock: what is quadratic would take hours for this, and the test run with it."""
    Masker(["aaaaaaaa", "aaaabaaa", SECRET])(unit * (2**20 // len(unit)))


@given(st.lists(VALUES, max_size=4), st.lists(VALUES | st.sampled_from(["x", "\n", "=="])))
@settings(max_examples=200)
def test_no_secret_is_left(secrets: list[str], words: list[str]) -> None:
    masked = Masker(secrets)("".join(words))
    for secret in secrets:
        for line in (secret, *secret.splitlines()):
            assert len(line.strip()) < 8 or line.strip() not in masked


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "hunter2-hunter2"),
        ("PGPASSWORD", "hunter2-hunter2"),
        ("MYSQL_PWD", "hunter2-hunter2"),
        ("SMTP_PASS", "hunter2-hunter2"),
        ("npm_config_token", "hunter2-hunter2"),
        ("GITHUB_PAT", "hunter2-hunter2"),
        ("STRIPE_API_KEY", "hunter2-hunter2"),
        ("STRIPE_APIKEY", "hunter2-hunter2"),
        ("API_KEY_PROD", "hunter2-hunter2"),
        ("SECRET_KEY_BASE", "hunter2-hunter2"),
        ("AWS_SECRET_ACCESS_KEY", "/aB3/xyzxyzxyzxyz+"),
        ("SSH_PRIVATE_KEY", "-----BEGIN KEY-----\nabc"),
        ("BASIC_AUTH", "user:hunter2-hunter2"),
        ("SLACK_WEBHOOK_URL", "https://hooks.example.com/T0/B0/xyz"),
        ("CRONTIFY_API_KEY", "ck_live_0123456789"),
    ],
)
def test_variables_whose_names_say_so_are_secrets(name: str, value: str) -> None:
    assert secret_values({name: value}) == [value]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSH_AUTH_SOCK", "/tmp/ssh-XXXX/agent.1"),
        ("GPG_AGENT_INFO", "/run/user/1000/gnupg:0:1"),
        ("PWD", "/srv/very/long/path"),
        ("OLDPWD", "/data/very/long/path"),
        ("API_KEY_FILE", "/data/long/path/key"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/gcp/account.json"),
        ("CREDENTIALS_DIRECTORY", "/run/credentials/job.service"),
        ("TOKEN_URL", "https://login.example.com/oauth/token"),
        ("TOKEN_TTL", "86400000"),
        ("USE_TOKEN", "true"),
        ("DB_PASSWORD", "short"),
        ("API_TOKEN", "disabled"),
        ("XAUTHORITY", "/home/u/.Xauthority"),
        ("SSH_ASKPASS", "/usr/lib/ssh/ssh-askpass"),
        ("KEYBOARD_LAYOUT", "de-nodeadkeys"),
        ("TOKENIZERS_PARALLELISM", "sometimes"),
        ("GIT_AUTHOR_NAME", "Somebody Else"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("PATH", "/usr/local/bin:/usr/bin"),
    ],
)
def test_variables_that_only_sound_like_it_are_none(name: str, value: str) -> None:
    assert secret_values({name: value}) == []


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("postgres://app:hunter2-hunter2@db:5432/x", ["hunter2-hunter2"]),
        ("redis://:hunter2%2Fhunter2@cache", ["hunter2%2Fhunter2", "hunter2/hunter2"]),
        ("https://ghp_0123456789abcdef@github.com/x", ["ghp_0123456789abcdef"]),
        ("https://user@example.com/x", []),
        ("https://example.com:8080/a@b", []),
    ],
)
def test_of_a_url_with_a_password_only_the_password_counts(value: str, secrets: list[str]) -> None:
    assert secret_values({"DATABASE_URL": value}) == secrets


def test_a_secret_of_the_environment_is_masked_in_what_a_job_really_prints() -> None:
    environ = {"PATH": "/usr/bin:/bin", "API_TOKEN": "it's $ecret\\n"}
    script = 'exec 2>&1; set -x; echo login "$API_TOKEN"; printf %s "$API_TOKEN" | base64; env'
    job = subprocess.run(["bash", "-c", script], env=environ, text=True, stdout=subprocess.PIPE)
    masked = Masker(secret_values(environ))(job.stdout)
    assert "ecret" in job.stdout
    assert "ecret" not in masked
    assert base64.b64encode(environ["API_TOKEN"].encode()).decode() not in masked
