"""When a user token ends: as the token says, whoever made it."""

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.config.secret import expires_at


@given(st.integers(0, 2**40), st.text(max_size=9))
def test_the_end_of_a_token_is_read_as_its_maker_wrote_it(end: int, subject: str) -> None:
    token = jwt.encode({"sub": subject, "exp": end}, "k" * 32, algorithm="HS256")
    assert expires_at(token) == end


def of(claims: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()}.sig"


@pytest.mark.parametrize(
    "text",
    [
        "ck_live_0123456789abcdef",
        "",
        "a.b.c",
        "é.é.é",
        of({"sub": "1"}),
        of({"exp": None}),
        of({"exp": [1]}),
        of({"exp": float("inf")}),
        of({"exp": 10**400}),
        of([1]),
        of("exp"),
        f"e30.{base64.urlsafe_b64encode(b'[' * 200_000).decode()}.sig",
    ],
)
def test_what_has_no_end_has_none(text: str) -> None:
    assert expires_at(text) is None
