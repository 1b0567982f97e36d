"""Check the imports between the modules, and those of heavy libraries.

A package may import only from the layers below it, no modules import each other in a circle
(for types they may), each heavy library has one home, and the modules that are loaded before
the job starts import almost nothing. Prints each violation; exit 1 if there is one.
"""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "crontify_cli"
FLOOR = (
    *(
        "errors",
        "values",
        "places",
        "state",
        "processes",
        "children",
        "threads",
        "record",
        "model",
        "crash",
        "files",
        "urls",
    ),
    "progress",
)
ALLOWED = {
    "config": {"config", *FLOOR},
    "report": {"report", "config", *FLOOR},
    "delivery": {"delivery", "report", "config", *FLOOR},
    "job": {"job", "delivery", "report", "config", *FLOOR},
    "sandbox": {"sandbox", *FLOOR},
    # Of the job only its table of options: where MONITOR ends and COMMAND begins.
    "crontab": {"crontab", "job", "config", *FLOOR},
    "systemd": {"systemd", *FLOOR},
    "cli": {
        *("cli", "job", "delivery", "report", "config", "sandbox", "crontab", "systemd"),
        *FLOOR,
    },
    "complete": {"config", *FLOOR},
    "__main__": {"cli", "job", "complete"},
}
HOMES = {
    "httpx": ("delivery/addresses.py", "sandbox/post.py"),
    "h11": ("delivery/connection.py", "sandbox/protocol.py"),
    "ssl": ("delivery/tls.py", "cli/", "sandbox/"),
    "socksio": ("delivery/socks.py", "delivery/proxy.py"),
    # TAB completion has its own query, because importing the journal takes too long.
    "sqlite3": (
        "delivery/journal_file.py",
        "delivery/journal_health.py",
        "complete.py",
        "sandbox/",
    ),
    "regex": ("values.py",),
    "prometheus_client": ("delivery/metrics.py",),
    "cronsim": ("crontab/schedule.py", "sandbox/schedule.py"),
    "rich": ("cli/", "sandbox/"),
    "typer": ("cli/",),
    "fastapi": ("sandbox/",),
}
BEFORE_SPAWN = (
    "errors.py",
    "values.py",
    "places.py",
    "state.py",
    "processes.py",
    "record.py",
    *(
        f"job/{name}.py"
        for name in ("options", "wrapper", "launched", "recorder", "overlap", "steps")
    ),
    *(f"job/{name}.py" for name in ("process", "presets", "alarm", "terminal")),
)
LIGHT = {"os", "stat", "sys", "time", "_signal", "crontify_cli"}  # os imports stat itself


def name_of(file: Path) -> str:
    """Return the name under which a file of the package is imported."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {name_of(file): file for file in PACKAGE.rglob("*.py")}


def imports(tree: ast.AST, *, top_only: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for each import, except those for type checking."""
    nodes = list(ast.iter_child_nodes(tree))
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from ((node.lineno, name if name in MODULES else node.module) for name in names)
        elif not (top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            nodes += ast.iter_child_nodes(node)


def circle() -> list[str]:
    """Return modules that import each other in a circle, wherever they do it; empty for none."""
    graph = {}
    for name, file in MODULES.items():
        found = {found for _, found in imports(ast.parse(file.read_text()), top_only=False)}
        graph[name] = found & MODULES.keys() - {name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def problems() -> Iterator[str]:
    """Yield a line for each forbidden import."""
    if found := circle():
        yield f"a circle: {' -> '.join(found)}"
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE).as_posix()
        room = place.split("/")[0].removesuffix(".py")
        tree = ast.parse(file.read_text())
        for line, module in imports(tree, top_only=False):
            parts = module.split(".")
            target = parts[1] if parts[0] == "crontify_cli" and len(parts) > 1 else None
            allowed = ALLOWED.get(room, set(FLOOR))
            if target and target not in allowed:
                yield f"{place}:{line}: {room} must not import {target}"
            homes = HOMES.get(parts[0])
            if homes and not place.startswith(homes):
                yield f"{place}:{line}: only {' and '.join(homes)} may import {parts[0]}"
        if place in BEFORE_SPAWN:
            for line, module in imports(tree, top_only=True):
                if module.split(".")[0] not in LIGHT:
                    yield f"{place}:{line}: {module} must not be imported before the job starts"


def main() -> int:
    """Print the violations; return the exit code."""
    found = list(problems())
    print("\n".join(found) or "all imports are allowed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
