"""The templates of the completion scripts: the parts that do not depend on the app."""

from pathlib import Path

TEMPLATES = Path(__file__).resolve().parent / "templates"


def fill(name: str, **parts: str) -> str:
    """Return a template with every `@PART@` replaced."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    for part, words in parts.items():
        text = text.replace(f"@{part.upper()}@", words)
    return text


def quoted(text: str) -> str:
    """Return `text` quoted for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"
