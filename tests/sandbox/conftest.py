"""One sandbox for the tests that only need monitors of their own."""

from collections.abc import Iterator

import pytest

from tests.sandbox.server import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running sandbox, shared: what a test does to more than its monitor belongs elsewhere."""
    with serving(tmp_path_factory.mktemp("sandbox") / "sandbox.db") as running:
        yield running
