"""The parts of a completion that do not change with the app: the walk along a command line."""

from pathlib import Path

TEMPLATES = Path(__file__).resolve().parent / "templates"


def fill(name: str, **parts: str) -> str:
    """Return a template with its `@PART@` lines replaced."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    for part, words in parts.items():
        text = text.replace(f"@{part.upper()}@", words)
    return text


def quoted(text: str) -> str:
    """Return `text` in single quotes, as bash and zsh read them."""
    return "'" + text.replace("'", "'\\''") + "'"
