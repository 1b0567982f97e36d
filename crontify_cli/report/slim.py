"""httpx and httpcore, without the halves of theirs that nothing here uses.

Everything that speaks HTTP takes the two from here.
"""

import contextlib
import sys
from collections.abc import Iterator

__all__ = ["httpcore", "httpx"]


@contextlib.contextmanager
def _without(*modules: str) -> Iterator[None]:
    """Make imports of these fail meanwhile, as where they are not installed.

    None in sys.modules does that: the import system's documentation.
    """
    absent = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # typeshed knows no None there
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


# httpx imports its own command line, with click, rich and pygments: half of its time.
# httpcore imports what only its asynchronous half needs.
with _without("httpx._main", "anyio", "trio"):
    import httpcore
    import httpx
