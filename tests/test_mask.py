"""Secrets stay on this machine, and what is no secret stays readable."""

import base64
import cProfile
import html
import json
import random
import re
import string
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from crontify_cli.report.mask import MASKED, Masker, mask_words
from crontify_cli.report.secrets import secret_values
from tests import masking

SECRET = 'p@ss"wörd/<with> %\\odds'
VALUES = st.text(st.sampled_from('ab1"\\/ %@\né'), min_size=8, max_size=12)


def test_every_occurrence_of_every_secret_is_masked_and_nothing_else() -> None:
    mask = Masker(["hunter2-hunter2", "correct-horse"])
    text = "a hunter2-hunter2, (correct-horse)hunter2-hunter2 z"
    assert mask(text) == "a [masked], ([masked])[masked] z"
    assert mask("hunter2-hun, correct horse") == "hunter2-hun, correct horse"


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


def test_of_a_secret_inside_another_that_a_long_text_repeats_no_rest_is_left() -> None:
    masker = Masker(["hunter2-hunter2", "the-hunter2-hunter2!"])
    line = "he said hunter2-hunter2 today\n"
    masked = masker(line * 5000 + "and the-hunter2-hunter2! once\n")
    assert masked == line.replace("hunter2-hunter2", "[masked]") * 5000 + "and [masked] once\n"
    assert Masker(["hunter2-hunter2"])(line * 5000) == masked.partition("and")[0]


def test_each_line_of_a_secret_with_several_lines_is_masked() -> None:
    pem = "-----BEGIN KEY-----\r\nMIIEvQIBADANBgkq\r\nhkiG9w0BAQEFAASC\r\n-----END KEY-----\r\n"
    mask = Masker([pem])
    assert mask(pem) == "-----BEGIN KEY-----\r\n[masked]\r\n-----END KEY-----\r\n"
    assert mask("read MIIEvQIBADANBgkq there") == "read [masked] there"


def test_short_values_are_words_unless_they_are_ours() -> None:
    assert Masker(["seven77"])("seven77") == "seven77"
    assert Masker([], own=["ours"])("ours seven77") == "[masked] seven77"
    assert Masker([], own=["the", ""])("the end") == "the end"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key ck_live_4f9a8b7c6d end", "key [masked] end"),
        ("xck_live_4f9a8b7c6d end", "x[masked] end"),
        (r'"a\nck_live_4f9a8b7c6d"', r'"a\n[masked]"'),
        (rf'"a\tghp_{"a1" * 18}"', r'"a\t[masked]"'),
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
        *("x-api-key: ", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"),
        *("password", "password=", 'password="', "--token ", "\\", "\\u00", "%25", "&amp;", "\\n"),
        *(
            "curl ",
            "mysql -p ",
            "curl \\\n",
            "password: |\n a",
            "password: |\n",
            "pw ",
            "password \n",
        ),
        *("?sig=", "identified by ", "machine a login ", "a:1234:a:b:", "a@tcp(", "pw value"),
        *("-----BEGIN PRIVATE KEY-----a-----END PRIVATE KEY-----", "ABCD2345", "4f:", "4f:4f:"),
        *("://a:b@", "AKIA", "SG.", "\x1b]", "\x1b[", "6", "QUJD", "p\n", "-----END "),
    ],
)
def test_masking_a_mebibyte_takes_steps_in_proportion(unit: str) -> None:
    """No clock: what is quadratic would take hours for this, and the test run with it."""
    Masker(["aaaaaaaa", "aaaabaaa", SECRET])(unit * (2**20 // len(unit)))


LONG = "Zq8Vt3Nw6Rx1/Ky5P+Lm2&Bn4Mq7Ws9Xc2Vd5F"


@pytest.mark.parametrize(
    "printed",
    [
        base64.b64encode(f"x:{LONG}".encode()).decode(),
        base64.encodebytes(f"some:{LONG}{LONG}".encode()).decode(),
        base64.b64encode(base64.b64encode(LONG.encode())).decode(),
        json.dumps(json.dumps({"key": LONG})),
        json.dumps(LONG).replace("/", "\\/"),
        json.dumps(LONG).replace("&", "\\u0026"),
        json.dumps(json.dumps(LONG).replace("&", "\\u0026")),
        json.dumps(base64.encodebytes(LONG.encode() * 3).decode()),
        quote(LONG, safe="").replace("%2F", "%2f").replace("%26", "%26"),
        quote(quote(LONG, safe=""), safe=""),
        html.escape(LONG),
        LONG.replace("/", "&#x2F;").replace("+", "&#43;"),
        LONG.encode().hex(),
        LONG.encode().hex().upper(),
        LONG.encode().hex(" "),
        LONG.encode().hex(":").upper(),
        LONG.encode().hex("-"),
        base64.b32encode(f"x:{LONG}".encode()).decode(),
        base64.b64encode(base64.b32encode(LONG.encode())).decode(),
        "\n    ".join(LONG[at : at + 5] for at in range(0, len(LONG), 5)),
        "\n".join(
            base64.b64encode(LONG.encode() * 2).decode()[at : at + 4] for at in range(0, 104, 4)
        ),
        LONG[:20] + "\x1b[31m" + LONG[20:],
        LONG[:20] + "!" + LONG[20:],
    ],
)
def test_a_secret_is_found_however_it_is_encoded_and_wrapped(printed: str) -> None:
    masked = Masker([LONG], shapes=False)(f"see <{printed}> here")
    assert masked.startswith("see <")
    assert masked.endswith("> here")
    assert len(re.sub(r"\[masked\]|[\\\"'=\s]", "", masked)) <= len("see<>here") + 8


def test_a_shell_that_quotes_a_secret_does_not_hide_it() -> None:
    secret = "it's $ecret & <more>, a\\b"
    quoted = subprocess.run(["bash", "-c", 'printf %q "$1"', "-", secret], capture_output=True)
    masked = Masker([secret], shapes=False)(f"<{quoted.stdout.decode()}>")
    assert masked == "<[masked]>"


def test_a_short_secret_is_found_around_a_byte_of_other_output() -> None:
    mask = Masker(["hunter2-hunter2"], shapes=False)
    assert mask("a hunter2!-hunter2 b") == "a [masked]![masked] b"
    assert mask("a hunter2-h\nE\nunter2 b") == "a [masked]\nE\n[masked] b"
    text = "a hunter2-h, and at another time hunter2"
    assert mask(text) == text


def test_a_piece_of_a_long_secret_is_masked_and_less_is_not() -> None:
    mask = Masker([LONG], shapes=False)
    assert mask(f"({LONG[3:15]})") == "([masked])"
    assert mask(f"({LONG[3:14]})") == f"({LONG[3:14]})"


def test_the_host_of_a_secret_url_and_the_frame_of_a_key_stay_readable() -> None:
    mask = Masker(["https://hooks.example.com/services/T0123/B0123/xyzxyz"], shapes=False)
    text = "POST https://hooks.example.com/services/T0123/B0123/xyzxyz to hooks.example.com"
    assert mask(text) == "POST https://hooks.example.com/[masked] to hooks.example.com"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=hunter2", "password=[masked]"),
        ("DB_PASSWORD1=hunter2 next", "DB_PASSWORD1=[masked] next"),
        ('{"password": "hunter2", "user": "bob"}', '{"password": "[masked]", "user": "bob"}'),
        (r"{\"dbPassword\":\"hunter2\",\"n\":1}", r"{\"dbPassword\":\"[masked]\",\"n\":1}"),
        ("mysql --password hunter2 -h db", "mysql --password [masked] -h db"),
        ("tool --api-key='a b c d' run", "tool --api-key='[masked]' run"),
        ("GET /x?token=abcdef&page=2", "GET /x?token=[masked]&page=2"),
        ("Server=db;Password=hunter2;User=sa", "Server=db;Password=[masked];User=sa"),
        ("password: hunter2\n", "password: [masked]\n"),
        ("<dbPassword>hunter2</dbPassword>", "<dbPassword>[masked]</dbPassword>"),
        ("> Cookie: a=1; sid=abcdef\n", "> Cookie: [masked]\n"),
        ("{'Set-Cookie': 'sid=abcdef; Path=/', 'x': 1}", "{'Set-Cookie': '[masked]', 'x': 1}"),
        ("amqp://a:hunter2@h1,amqp://b:hunter3@h2", "amqp://a:[masked]@h1,amqp://b:[masked]@h2"),
        ("postgres://app:p/a@ss@db:5432/x", "postgres://app:[masked]@db:5432/x"),
        ("id AKIAIOSFODNN7EXAMPLE.", "id [masked]."),
        (f"ghp_{'a1B2' * 9} ok", "[masked] ok"),
        ("ck_live_4f9a8b7ceyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "[masked]"),
        (
            "CREATE USER 'a'@'%' IDENTIFIED BY 'hunter2';",
            "CREATE USER 'a'@'%' IDENTIFIED BY '[masked]';",
        ),
        ("ALTER ROLE app PASSWORD 'hunter2'", "ALTER ROLE app PASSWORD '[masked]'"),
        ("SET PASSWORD = PASSWORD('hunter2')", "SET PASSWORD = PASSWORD('[masked]')"),
        ("WITH PASSWORD = N'hunter2', x", "WITH PASSWORD = N'[masked]', x"),
        ("+ curl -sSu bob:hunter2 https://x", "+ curl -sSu bob:[masked] https://x"),
        ("curl --user 'bob:hun ter2' x", "curl --user 'bob:[masked]' x"),
        ("mysql -uroot -phunter2 db", "mysql -uroot -p[masked] db"),
        ("mysqldump '-phunter2' | gzip", "mysqldump '-p[masked]' | gzip"),
        ("sshpass -p hunter2 ssh h", "sshpass -p [masked] ssh h"),
        ("docker login -u bob -p hunter2 reg", "docker login -u bob -p [masked] reg"),
        ("htpasswd -nb bob hunter2", "htpasswd -nb bob [masked]"),
        ("openssl rsa -passin pass:hunter2 -in x", "openssl rsa -passin pass:[masked] -in x"),
        ("?sv=1&sr=b&sig=aGVsbG8%3D&se=2", "?sv=1&sr=b&sig=[masked]&se=2"),
        ("?X-Amz-Signature=fe5f80f77d5f", "?X-Amz-Signature=[masked]"),
        ("https://discord.com/api/webhooks/12/abcDEF-ghi ok", "https://[masked] ok"),
        ("https://0123456789abcdef0123@git.example.com/x", "https://[masked]@git.example.com/x"),
        ("app:hunter2@tcp(db:3306)/x", "app:[masked]@tcp(db:3306)/x"),
        ("db.example.com:5432:app:bob:hunter2", "db.example.com:5432:app:bob:[masked]"),
        ("machine h login bob password hunter2", "machine h login bob password [masked]"),
        ("requirepass hunter2\n", "requirepass [masked]\n"),
        ("password: |-\n  hunter2\n  more\nuser: bob", "password: |-\n  [masked]\nuser: bob"),
        ("- name: DB_PASSWORD\n  value: hunter2\n", "- name: DB_PASSWORD\n  value: [masked]\n"),
        ('<add key="DbPassword" value="hunter2"/>', '<add key="DbPassword" value="[masked]"/>'),
        ('<entry key="password">hunter2</entry>', '<entry key="password">[masked]</entry>'),
        ("    [password] => hunter2", "    [password] => [masked]"),
        ('["password"]=>\n  string(7) "hunter2"', '["password"]=>\n  string(7) "[masked]"'),
        ("{'password': b'hunter2'}", "{'password': b'[masked]'}"),
        ("[('password', 'hunter2'), ('a', 'b')]", "[('password', '[masked]'), ('a', 'b')]"),
        ('password = """hunter2"""', 'password = """[masked]"""'),
        ("%22password%22%3A%22hunter2%22", "%22password%22%3A%22[masked]"),
        ("&quot;password&quot;:&quot;hunter2&quot;", "&quot;password&quot;:&quot;[masked]&quot;"),
        ("password............: hunter2", "password............: [masked]"),
        ("SECRET_KEY_BASE=hunter2", "SECRET_KEY_BASE=[masked]"),
        ("Authorization:[Bearer hunter2hunter2]", "Authorization:[Bearer [masked]]"),
        ("Authorization: Digest username=bob", "Authorization: Digest [masked]"),
        ("client-key: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0=", "client-key: [masked]"),
        (
            "h: -----BEGIN PRIVATE KEY-----\nh: MIIEvQ==\nh: -----END PRIVATE KEY-----",
            "h: -----BEGIN PRIVATE KEY-----[masked]-----END PRIVATE KEY-----",
        ),
        (
            "cut.\nMIIEvQ==\n-----END PRIVATE KEY-----",
            "cut.\n[masked]-----END PRIVATE KEY-----",
        ),
    ],
)
def test_what_is_named_or_formed_like_a_secret_is_masked(text: str, masked: str) -> None:
    assert Masker()(text) == masked
    assert Masker()(masked) == masked
    assert Masker(shapes=False)(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "--- PASS: TestLogin (0.00s)",
        "invalid password: please use another one",
        "compass=north bypass=true pwd=/srv/app token=12345",
        "password=, secret:, token=",
        "password=$DB_PASSWORD --password-file=/etc/x",
        "the password hunter2",
        "key=value api_keys: 17",
        "password=********",
        "retries token>5 and <token>17</token>",
        "cannot parse cookie: unexpected end",
        "Access denied for user 'root'@'localhost' (using password: YES)",
        "missing fields: ['password', 'username', 'token']",
        "docker run -p 8080:80 -u 1000:1000 --name mysql -p3306:3306 mysql:8",
        "curl -fsSL https://example.com/install.sh -o /tmp/u:x && mysql -u root -p db",
        "invalid token \"}\", unexpected token '<' in JSON at position 12",
        "src/a.c:1234:5: error: foo",
        "src/foo.py:1234:12:E501:line",
        "secret/db-password configured\nWWW-Authenticate: Bearer realm=x",
        "PASS src/foo2.test.js",
        '<label for="password">Password</label><input type="password" name="x1">',
        "using GET /search?signal=2&design=abcdefgh",
        "git+https://github.com/x/y@0123456789abcdef0123 and https://bob@example.com",
    ],
)
def test_what_only_mentions_a_secret_stays(text: str) -> None:
    assert Masker()(text) == text


def test_of_a_token_that_contains_a_known_secret_no_rest_is_left() -> None:
    mask = Masker(["abcdefgh12345678"])
    assert mask("a ghp_abcdefgh12345678ZZZZZZZZZZZZZZZZZZZZ end") == "a [masked] end"
    assert mask("abcdefgh12345678AKIAIOSFODNN7EXAMPLE end") == "[masked][masked] end"
    often = mask("ghp_abcdefgh12345678ZZZZZZZZZZZZZZZZZZZZ " * 2000)
    assert often == "[masked] " * 2000


def test_the_words_of_a_command_are_masked_by_the_program_that_they_belong_to() -> None:
    words = ["env", "A=1", "/usr/bin/mysql", "-uroot", "-phunter2 it's", "db"]
    expected = (*words[:4], f"-p{MASKED}", "db")
    assert mask_words(words, Masker()) == expected
    assert mask_words(words, Masker(shapes=False)) == tuple(words)
    assert mask_words(["curl", "-u", "bob:hunter2"], Masker())[-1] == f"bob:{MASKED}"


def test_the_words_of_a_command_are_masked_by_the_option_before_them() -> None:
    words = ["mysql", "--password", "hunter2", "-u", "bob", "--token=abcdef", "run"]
    expected = ("mysql", "--password", MASKED, "-u", "bob", f"--token={MASKED}", "run")
    assert mask_words(words, Masker()) == expected
    assert mask_words(words, Masker(shapes=False)) == tuple(words)


@pytest.mark.parametrize("seed", range(0, 300, 50))
def test_no_piece_of_a_secret_escapes(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRONTIFY_STATE_DIR", str(tmp_path))
    print(f"seeds {seed} to {seed + 49}")
    found = [
        line for one in range(seed, seed + 50) for line in masking.problems(one, str(tmp_path))
    ]
    assert found == []


@given(st.integers(0, 2**32))
@settings(max_examples=50, print_blob=True)
def test_no_piece_of_a_secret_escapes_in_examples_of_hypothesis(seed: int) -> None:
    note(f"python -m tests.masking --examples 1 --seed {seed}")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRONTIFY_STATE_DIR", folder)
        assert masking.problems(seed, folder) == []


def _steps(masker: Masker, text: str) -> int:
    """Return how many calls masking makes: a measure that a busy machine does not change."""
    profile = cProfile.Profile()
    profile.enable()
    masker(text)
    profile.disable()
    return sum(entry.callcount for entry in profile.getstats())


def test_masking_takes_no_more_steps_for_many_secrets_and_twice_as_many_for_twice_the_text() -> (
    None
):
    chance = random.Random(1)
    secrets = ["".join(chance.choices(string.ascii_letters, k=40)) for _ in range(200)]
    # Not as it is: a secret that a long text repeats as it is is replaced without these steps.
    line = f"2026-01-01 12:00 token {secrets[0].encode().hex()} was used\n"
    few, many = Masker(secrets[:1]), Masker(secrets)
    for masker in (few, many):
        masker(line)  # what is made once
    assert _steps(many, line * 1000) <= 2 * _steps(few, line * 1000)
    assert _steps(many, line * 2000) <= 2.5 * _steps(many, line * 1000)


def test_a_variable_of_three_thousand_lines_is_one_secret() -> None:
    chance = random.Random(1)
    lines = ["".join(chance.choices(string.ascii_letters, k=40)) for _ in range(3000)]
    mask = Masker(["\n".join(lines)])
    assert mask(f"a {lines[17]} b") == "a [masked] b"
    assert mask("\n".join(lines[5:50])) == "[masked]"


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
        ("PASSWORD1", "hunter2-hunter2"),
        ("DB_PW", "hunter2-hunter2"),
        ("SSHPASS", "hunter2-hunter2"),
        ("LDAP_BINDPW", "hunter2-hunter2"),
        ("VAULT_SECRET_ID", "hunter2-hunter2"),
        ("STORAGE_CONNECTION_STRING", "hunter2-hunter2"),
        ("DOCKER_AUTH_CONFIG", '{"auths":{}}-hunter2'),
        ("SMTP_CREDS", "hunter2-hunter2"),
        ("BEARER", "hunter2-hunter2"),
        ("DOOR_PASSCODE", "hunter2-hunter2"),
        ("S3_SECRETKEY", "hunter2-hunter2"),
        ("S3_ACCESSKEY", "hunter2-hunter2"),
        ("PRIVATEKEY", "hunter2-hunter2"),
        ("LICENSE_APPKEY", "hunter2-hunter2"),
        ("GCP_SA_KEY_B64", "hunter2-hunter2"),
        ("STRIPE_KEY_LIVE", "hunter2-hunter2"),
        ("SSH_KEY_DATA_OLD", "hunter2-hunter2"),
        ("WIFI_PSK", "hunter2-hunter2"),
        ("STORAGE_SAS", "sv=2020-hunter2"),
        ("PASS_WORD", "hunter2-hunter2"),
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
        ("MONKEY_TEST", "a-longer-value"),
        ("BUILD_DATA", "a-longer-value"),
        ("SSH_AUTH_SOCK_OLD", "a-longer-value"),
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
        ("https://api.example.com/v1?token=hunter2-hunter2&a=b", ["hunter2-hunter2"]),
        ("postgres://app:hunter2/hun@ter2@db/x", ["hunter2/hun@ter2"]),
        ("amqp://h1,amqp://b:hunter2-hunter2@h2", ["hunter2-hunter2"]),
        ("host=db user=app password=hunter2-hunter2", ["hunter2-hunter2"]),
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
