"""The web page: three static files, and the headers that confine what a browser does with them."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_FOLDER = Path(__file__).with_name("web")
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # the next version of crontify may have another page
}


def page_routes() -> list[Route]:
    """Return the routes of the page's files, which need no token and contain no data."""
    routes = [_file_route(path, *file) for path, file in _FILES.items()]
    # Browsers ask for an icon; without an answer, each visit would be shown as a refusal.
    return [*routes, Route("/favicon.ico", _no_icon)]


def page_link(origin: str, token: str) -> str:
    """Return the link that opens the page at `origin` and signs in.

    The token is in the fragment, which a browser sends to no server.
    """
    return f"{origin}/#token={token}"


def _file_route(path: str, name: str, media_type: str) -> Route:
    response = Response((_FOLDER / name).read_bytes(), media_type=media_type, headers=_HEADERS)

    async def answer(request: Request) -> Response:
        return response

    return Route(path, answer)


async def _no_icon(request: Request) -> Response:
    return Response(status_code=204)
