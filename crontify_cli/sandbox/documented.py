"""The refusals that routes declare, so that the OpenAPI schema names every answer."""

from typing import Any

from crontify_cli.sandbox.wire import ErrorAnswer

WORDS = {
    400: "The request is not what this endpoint takes",
    401: "Missing or invalid API key or token",
    404: "Monitor (or run) not found or does not belong to this account",
    413: "The body is longer than 1 MiB",
    415: "The body is not application/json",
    429: "Rate limit exceeded: see your plan's minimum ping interval",
    503: "The sandbox cannot use its database",
}

Responses = dict[int | str, dict[str, Any]]  # FastAPI's own type


def refusals(*statuses: int) -> Responses:
    """Return what `responses=` takes: each status with its words and the error's shape."""
    responses: Responses = {
        status: {"model": ErrorAnswer, "description": WORDS[status]} for status in statuses
    }
    if 429 in responses:
        responses[429]["headers"] = {
            "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}
        }
    return responses
