"""`pytest --hide FEATURE,…`: hide what other systems lack from crontify, as program and package.

A test of such a feature carries `pytest.mark.uses("FEATURE", …, reason="…")`. It is skipped if one
of them is hidden, or if this system really lacks it.
"""

import pytest

from tests.portability.features import DEPRECATED, FEATURES, WARNINGS, absent, hide, parse


def pytest_addoption(parser: pytest.Parser) -> None:
    words = (
        f"hide what other systems lack: all, or some of {', '.join(FEATURES)}; and what Python "
        f"will take away: {DEPRECATED}"
    )
    parser.addoption("--hide", default="", metavar="FEATURE,…", help=words)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "uses(*features, reason): needs these features of Linux")
    try:
        features = parse(config.getoption("--hide"))
    except ValueError as error:
        raise pytest.UsageError(f"--hide: {error}") from None
    if features:
        from tests import programs

        programs.hide(features)
        hide(features, asked_by="crontify_cli")
    for category in WARNINGS if DEPRECATED in features else ():
        # pytest sets the filters of each test itself.
        config.addinivalue_line("filterwarnings", f"error::{category.__name__}:crontify_cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lacks = absent()
    for item in items:
        for mark in item.iter_markers("uses"):
            if lacking := lacks.intersection(mark.args):
                reason = f"{mark.kwargs['reason']} (without {', '.join(sorted(lacking))})"
                item.add_marker(pytest.mark.skip(reason=reason))
