"""exec's options: the fast scanner and Typer read the same table, and must read it alike."""

import contextlib
import io
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import crontify_cli.job.wrapper
from crontify_cli.cli.app import run_app
from crontify_cli.job.options import OPTIONS, ExecOptions, scan, split

VALUES = {
    "--timeout": ["90", "1h30m", "5x", ""],
    "--kill-after": ["0", "1s", "-1"],
    "--overlap": ["allow", "skip", "wait", "never"],
    "--jitter": ["10m", "0", "x"],
    "--argv0": ["name", "-name", ""],
    "--success-codes": ["0,24", "0,20-25", "256", "a"],
    "--min-duration": ["5s", "s"],
    "--tolerate": ["0", "3", "-1", "x"],
    "--output": ["all", "on-failure", "none", "some"],
    "--start": ["auto", "always", "never", "maybe"],
    "--meta": ["rows=17", "rate=0.5", "rows", "a b=1", "x=nan"],
    "--meta-regex": [r"(?P<rows>\d+)", "no group", "("],
    "--redact": ["secret", "["],
    "--config": ["/etc/crontify.toml"],
    "--base-url": ["http://localhost:1/"],
    "--api-key-file": ["key"],
}


def words() -> st.SearchStrategy[list[str]]:
    valued = st.sampled_from([(flag, value) for flag, values in VALUES.items() for value in values])
    pieces = st.one_of(
        valued.map(list),
        valued.map(lambda pair: [f"{pair[0]}={pair[1]}"]),
        st.sampled_from(
            ["--shell", "-q", "--quiet", "--no-start", "--no-log", "--jitter-fixed", "-v"]
        ).map(lambda flag: [flag]),
        st.sampled_from([["--"], ["-"], ["backup"], ["../x"], ["echo"], ["--help"], ["--unknown"]]),
        st.sampled_from([["-qv"], ["-vq"], ["-vv"], ["-qx"], ["-q=1"], ["-q-"], ["-é"]]),
        st.sampled_from([["--timeout"], ["--quiet=1"], ["echo a b"], [""]]),
    )
    return st.lists(pieces, max_size=6).map(lambda lists: [word for part in lists for word in part])


def by_typer(args: list[str], monkeypatch: pytest.MonkeyPatch) -> ExecOptions | None:
    """What Typer makes of the words after `exec`; None for help or a usage error."""
    seen: list[ExecOptions] = []

    def run(options: ExecOptions, *_: Any) -> int:
        seen.append(options)
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(crontify_cli.job.wrapper, "run", run)
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            code = run_app(["exec", *args])
    assert bool(seen) == (code == 0 and "--help" not in split(args)[0])
    return seen[0] if seen else None


@settings(max_examples=150, deadline=None)
@given(args=words())
@example(args=["backup", "--timeout", "5m", "--", "echo", "--timeout"])
@example(args=["--", "backup", "echo"])
@example(args=["--", "backup", "--", "-x"])
@example(args=["backup", "--meta", "a=1", "--meta=b=2", "echo"])
@example(args=["backup", "--shell", "a", "b"])
@example(args=["--", "--shell", ""])
@example(args=["backup", "-qv", "echo"])
@example(args=["backup", "--redact", "-qv", "echo"])
@example(args=["backup", "--timeout", "soon", "--timeout", "5", "echo"])
def test_what_the_scanner_understands_typer_understands_alike(args: list[str]) -> None:
    """And what the scanner hands over is what Typer has something to say about."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        typed = by_typer(args, monkeypatch)
    assert said(scan(args)) == said(typed)


def said(options: ExecOptions | None) -> dict[str, object] | None:
    names = ("monitor", "command", *(option.name for option in OPTIONS))
    return options and {name: getattr(options, name) for name in names}


def test_every_option_is_in_the_generated_values() -> None:
    assert {flag for option in OPTIONS if option.convert for flag in option.flags} == set(VALUES)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--timeot", "5", "backup", "true"], "--timeot"),
        (["backup", "--overlap", "never", "true"], "never"),
        (["backup"], "COMMAND"),
        (["--", "backup", "true"], "MONITOR"),
        ([], "MONITOR"),
        (["backup", "--shell", "echo", "a"], "one string"),
        (["backup", "--meta", "rows=many", "true"], "rows: not a number: 'many'"),
    ],
)
def test_a_usage_error_is_2_and_names_what_is_wrong(
    crontify: Any, args: list[str], words: str
) -> None:
    done = crontify("exec", *args, env={"COLUMNS": "200"})
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_help_shows_every_option_and_an_example(crontify: Any) -> None:
    done = crontify("exec", "--help", env={"COLUMNS": "120"})
    assert done.returncode == 0
    for option in OPTIONS:
        assert option.flags[-1] in done.stdout
    assert "0 3 * * *" in done.stdout
