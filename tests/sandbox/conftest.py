"""One sandbox for the tests that only need monitors of their own."""

from collections.abc import Iterator

import pytest

from tests.sandbox.server import Server, serving
from tests.server import bound


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running sandbox, shared: what a test does to more than its monitor belongs elsewhere."""
    with serving(tmp_path_factory.mktemp("sandbox") / "sandbox.db") as running:
        yield running


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody gets by chance; nothing listens on it until the test does."""
    with bound() as sock:
        yield sock.getsockname()[1]
