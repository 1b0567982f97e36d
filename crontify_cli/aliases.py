"""The names of the config's monitors, read without a TOML parser: that alone would double a TAB.

Where something is written as only a parser can tell, there is no answer.
"""


def section_names(text: str) -> "list[str] | None":
    """Return the names below `monitors` in a TOML document, None where a parser has to look.

    Of a document that is not TOML the names that can be seen, or None.
    """
    try:
        return list(dict.fromkeys(_names(text)))
    except ValueError:
        return None


def _names(text: str) -> "list[str]":
    """Return what stands below `monitors`, a name as often as there is something below it.

    Raises ValueError where it is not clear.
    """
    names: list[str] = []
    table: list[str] = []
    at = _blank(text, 0)
    while at < len(text):
        is_header = text[at] == "["
        if is_header:
            table, at = _key(text, at + (2 if text.startswith("[[", at) else 1))
            path = table
            at = _line_end(text, _expect(text, at, "]"))
        else:
            key, at = _key(text, at)
            path = table + key
            at = _value_end(text, _expect(text, at, "="))
        if path[0] == "monitors" and len(path) > 1:
            names.append(path[1])
        elif path == ["monitors"] and not is_header:
            raise ValueError("an inline table")
        at = _blank(text, at)
    return names


def _blank(text: str, at: int) -> int:
    """Return where the next key or header begins, beyond blank lines and comments."""
    while at < len(text) and text[at] in " \t\r\n#":
        at = _line_end(text, at) if text[at] == "#" else at + 1
    return at


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _expect(text: str, at: int, char: str) -> int:
    if text[at : at + 1] != char:
        raise ValueError(f"no {char}")
    return at + 1


def _key(text: str, at: int) -> "tuple[list[str], int]":
    """Return the parts of the dotted key at `at`, and where what follows it begins."""
    parts = []
    while True:
        at = _spaces(text, at)
        quote = text[at : at + 1]
        if quote in ('"', "'"):
            end = text.find(quote, at + 1)
            part = text[at + 1 : end]
            if end < 0 or "\n" in part or (quote == '"' and "\\" in part):
                raise ValueError("an escape, or no end")
            at = end + 1
        else:
            end = at
            while end < len(text) and (text[end] in "-_" or text[end].isalnum()):
                end += 1
            part = text[at:end]
            if not part or not part.isascii():
                raise ValueError("no key")
            at = end
        parts.append(part)
        at = _spaces(text, at)
        if text[at : at + 1] != ".":
            return parts, at
        at += 1


def _spaces(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    return at


def _value_end(text: str, at: int) -> int:
    """Return where the line ends on which the value at `at` does."""
    end = _line_end(text, at)
    value = text[at:end].strip(" \t\r")
    if value[:1] == value[-1:] == '"' and value.count('"') == 2 and "\\" not in value:
        return end  # as most are, and faster
    depth = 0
    while at < len(text):
        char = text[at]
        if char in "\"'":
            at = _string_end(text, at)
            continue
        if char == "#":
            at = _line_end(text, at)
            continue
        if char == "\n" and depth <= 0:
            return at
        depth += (char in "[{") - (char in "]}")
        at += 1
    if depth:
        raise ValueError("a bracket without its other")
    return at


def _string_end(text: str, at: int) -> int:
    """Return where what follows the string at `at` begins."""
    quote = text[at]
    many = text.startswith(quote * 3, at)
    close = quote * 3 if many else quote
    at += len(close)
    while True:
        end = text.find(close, at)
        escape = text.find("\\", at, end) if quote == '"' else -1
        if end < 0 or (not many and "\n" in text[at:end]):
            raise ValueError("a string without an end")
        if escape < 0:
            break
        at = escape + 2
    end += len(close)
    while many and text[end : end + 1] == quote:  # up to two may stand before the end
        end += 1
    return end
