"""The words for a request that is not what its endpoint takes."""

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError

from crontify_cli.sandbox.records import Refusal

NAMED_FAULTS = 3
_NOT_JSON_TYPE = "The body must be JSON, with the header Content-Type: application/json"
_WORDS = {
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a string",
}
"""pydantic's own words, where a person who writes a shell script would ask what they mean."""


def refuse_invalid(error: RequestValidationError) -> Refusal:
    """Return the refusal: 415 for another content type, else 400, which names the fields."""
    if isinstance(error.body, bytes):  # FastAPI parses what is declared to be JSON
        return Refusal(415, _NOT_JSON_TYPE)
    faults = "; ".join(map(_say, error.errors()[:NAMED_FAULTS]))
    # A name in the body may be half a surrogate pair.
    return Refusal(400, faults.encode("utf-8", "replace").decode())


def refuse_unreadable(cause: BaseException | None) -> Refusal:
    """Return the refusal of a body at which the parser gave up with `cause`."""
    if isinstance(cause, RecursionError):
        return Refusal(400, "The body is not JSON that we can read: it is nested too deep")
    if isinstance(cause, UnicodeDecodeError):
        return Refusal(400, "The body is not JSON: it is not in UTF-8")
    if isinstance(cause, ValueError):  # Python's limit of 4,300 digits
        return Refusal(400, "The body is not JSON that we can read: a number in it is too long")
    return Refusal(400, "The body is not JSON that we can read")


def _say(fault: Mapping[str, Any]) -> str:  # pydantic's own type
    """Return `where: what`; `where` is the path of the field."""
    where = ".".join(str(step) for step in fault["loc"][1:] if step != "[key]")
    if fault["type"] == "json_invalid":
        return f"The body is not JSON: {fault['ctx']['error']} at character {where}"
    if fault["type"] == "float_type" and type(fault["input"]) is int:
        words = "must be a number that fits in 64 bits"
    else:
        words = _WORDS.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    return f"{where or fault['loc'][0]}: {words.replace('Input should be', 'must be')}"
