"""Finds the lines of a failed job's output that say why it failed.

Each line is scored by its shape and its neighbours. The best one is taken, of equals
the first, because later errors tend to follow from earlier ones; and up to two more
where they add to it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from crontify_cli.report import shapes
from crontify_cli.report.excerpt import cut, units
from crontify_cli.report.logline import read
from crontify_cli.report.shapes import compiled

LOOKED_AT = 64 * 1024
"""Bytes of the end of the output that are searched."""
_TORN = 4096
"""Bytes that may belong to a secret torn by the cut, where no line ends nearby."""
_MOST_LINES = 2000
_LAST = 100
"""Lines at the end that are all judged."""
_MOST_JUDGED = 200
"""Lines that are judged at most: the last ones, and others with a word of failure."""
_WIDTH = 1000
"""Characters of a line that are kept: its beginning and its end."""
_JUDGED_WIDTH = 400
"""Characters of a line by which it is judged, likewise."""
_NEAR = 20
"""Lines after an error within which the program has not moved on from it."""
_MOVED_ON = 25
"""What a line's score loses if the program did."""
_COMPARABLE = 34
"""How much less than the best line another one may score to be told too."""
_LONGEST_DETAIL = 300
"""Characters that a line may reach with the lines that complete it."""
_LEAST_ROOM = 40
"""UTF-16 units below which a further cause is not worth its place."""
_WRAPPED_AT = 60

_FAILURE = (
    r"[Ee]rror|ERROR|[Ff]ail|FAIL|[Ff]atal|FATAL|[Ee]xception|panic|[Dd]enied|refused|not found"
    r"|n't |an ?not |[Nn]o (?:such|space)|SEVERE|CRIT|[Uu]nable|[Kk]illed|abort|[Ii]nvalid"
    r"|[Uu]nknown|[Mm]issing|timed out|imeout|\berr\b|fault|[Dd]oes not|:50,"
)
_PASSING = r"\b(?:INFO|DEBUG|TRACE|NOTICE|info|debug|trace|notice)\b"
"""What loggers write in front of lines that are no failure."""
_TRACEBACK = r"([ |]*)(?:\+ Exception Group )?Traceback \(most recent call last\):"
_OWN_FRAME = r'[> ]*File "'
"""A frame that a logger has marked, at the margin of the traceback."""
_CHAINED = r"[ |]*(?:During handling of the above|The above exception was)"
_EXITED = r"returned (?:a )?non-zero exit (?:status|code)|exit code -?\d+\.?$"
_PANICKED = r"thread '.*'(?: \(\d+\))? panicked at \S+:\d+:$"
_FRAME = (
    r"\s+at \S|\s+from \S+:\d+:in |#0\s|\s+\.\.\. \d|Stack trace:"
    r"|\s+\(\w[^)]{0,40}\) \S+:\d+: "
)
_GO_CALL = r"[\w./*()-]+\(.*\)$"
_GO_FRAME = r"\s+/?\S+\.\w+:\d+(?: \+0x\w+)?"
_NUMBERED = r"\d+: "
_OPEN = r":$|\d (?:\w+ )?errors? (?:for|in) \S+$|\) at \S+ \(.*\)\.$"
"""The end of a line that needs the next one to make sense."""
_CARET = r"(?:\[\w+\])?[\s|]*[\^~][\^~\s|]*"
_NEW_SENTENCE = r"(?:cannot|can['’]t|could ?n[o'’]t|unable to|failed to|errors?)\b"
_READABLE = r"[A-Za-z]{2,}\W{1,3}[A-Za-z]{2,}"
_DETAIL = r"\W*(?:\d+\W+|[\w.-]+: )?(?:DETAIL|Detail|detail|Reason|reason):\s"


class _Line(NamedTuple):
    score: int
    indent: int
    text: str


def end_of(output: bytes) -> bytes:
    """Return what `find_causes` looks at: the last 64 KiB, without the line that the cut tore.

    A torn line may hold half a secret, which no mask would know.
    """
    if len(output) <= LOOKED_AT:
        return output
    end = output[-LOOKED_AT:]
    if output[-LOOKED_AT - 1 : -LOOKED_AT] == b"\n":
        return end
    return end[end.find(b"\n") + 1 or _TORN :]


def find_causes(text: str) -> list[str]:
    """Return up to three lines of cleaned, masked text that say what went wrong.

    The most telling one comes first, the others in the order in which they stand in
    the text. Empty if no line can be read.
    """
    lines = _judged(text)
    if not (found := _errors(lines)):
        return _last_words(lines)
    best = found[0]
    near = [
        at
        for at in found[1:]
        if lines[at].score >= max(shapes.CAUSE, lines[best].score - _COMPARABLE)
    ]
    if len(near) > 2:  # the next best, and of its equals the last
        equals = [at for at in near[1:] if lines[at].score == lines[near[0]].score]
        near = [near[0], *reversed(equals), *near[1:]]
    told = [best, *near[:40], *_before(lines, best, alone=not near)]
    return _distinct([_whole(lines, at) for at in told])


def _before(lines: Sequence[_Line], best: int, *, alone: bool) -> list[int]:
    """Return the place of the line before, if the best one alone leaves a question open.

    alone: whether no other line is told next to the best one.
    """
    if best == 0 or lines[best - 1].score < shapes.PLAIN:
        return []
    vague = alone and lines[best].score < shapes.ERROR
    return [best - 1] if vague or lines[best - 1].score == shapes.TELLING_WARNING else []


def joined(causes: Sequence[str], room: int) -> str:
    """Return the causes as one line of at most `room` UTF-16 units, joined by ` | `.

    One that is too long loses its middle, the first one only where it takes more than
    half of the room.
    """
    line = ""
    for number, cause in enumerate(causes):
        separator = " | " if number else ""
        left = room - units(line) - len(separator)
        waiting = min(len(causes) - number - 1, 1)
        share = left if not waiting else max(left // 2, left - units(causes[number + 1]) - 3)
        if number and left < _LEAST_ROOM:
            break
        line += separator + _shortened(cause, share)
    return line


def _shortened(text: str, room: int) -> str:
    """Cut the middle out: programs name what failed first, and the reason last."""
    if units(text) <= room:
        return text
    if room < _LEAST_ROOM:
        return cut(text, room - 1) + "…" if room > 0 else ""
    end = text[-(room // 3) :]
    end = end[units(end) - room // 3 :].lstrip()
    return f"{cut(text, room - units(end) - 3).rstrip()} … {end}"


def _judged(text: str) -> list[_Line]:
    """Return the text's last lines that are not blank, with their scores; noise has 0.

    The last ones are all judged; of those before only so many, and only those with a
    word of failure in them: that bounds the time that any text takes.
    """
    raw = [line for line in text.split("\n") if line and not line.isspace()][-_MOST_LINES:]
    binary = text.count("\ufffd") * 50 > len(text)
    scores = _scores_of_tracebacks(raw)
    lines = [
        _Line(score, 0, line.lstrip(" |+"))
        if score is not None
        else _Line(shapes.NOISE if binary or line[0] in " \t#+" else shapes.PLAIN, 0, line)
        for line, score in zip(raw, scores, strict=True)
    ]
    judged = _to_judge(raw, scores)
    for at in judged:
        lines[at] = _judge(raw[at], binary=binary)
    known = {*judged, *(at for at, score in enumerate(scores) if score is not None)}
    for at in reversed(judged):
        if at + 1 in known:
            _regard_next(lines, at, raw[at], raw[at + 1])
    return lines


def _to_judge(lines: Sequence[str], scores: Sequence[int | None]) -> list[int]:
    """Return the places of lines to judge, the last ones first; those of tracebacks are."""
    far = max(0, len(lines) - _LAST)
    places = list(range(len(lines) - 1, far - 1, -1))
    fails, passes = compiled(_FAILURE).search, compiled(_PASSING).search
    for at in range(far - 1, -1, -1):
        if len(places) >= _MOST_JUDGED:
            break
        if fails(lines[at][:_WIDTH]) and not passes(lines[at][:100]):
            if places[-1] > at + 1:
                places.append(at + 1)  # may belong to it
            places.append(at)
    return [at for at in places if scores[at] is None]


def _scores_of_tracebacks(lines: Sequence[str]) -> list[int | None]:
    """Return a score for each line of a Python traceback, None for all others.

    The last exception of a chain scores highest; one that Python ignores is noise.
    """
    scores: list[int | None] = [None] * len(lines)
    margin, ignored, last = -1, False, -1
    for at, line in enumerate(lines):
        if margin < 0 and (header := compiled(_TRACEBACK).fullmatch(line)):
            margin = len(header[1]) + 2 * ("+ Exception" in line)
            scores[at] = shapes.NOISE
        elif margin >= 0 and compiled(_OWN_FRAME).match(line):
            scores[at] = shapes.NOISE
        elif margin >= 0:
            scores[at] = shapes.NOISE
            if len(line) - len(line.replace("|", " ").lstrip()) <= margin:
                if not ignored:
                    scores[at], last = shapes.EXCEPTION + 2, at
                margin, ignored = -1, False
        elif line.startswith("Exception ignored "):
            ignored, scores[at] = True, shapes.NOISE
        elif last >= 0 and compiled(_CHAINED).match(line):
            scores[at], scores[last] = shapes.NOISE, shapes.EXCEPTION - 4
    for at, score in enumerate(scores):
        if score and compiled(_EXITED).search(lines[at][:_WIDTH]):
            scores[at] = shapes.SUMMARY_OF_ERROR  # as CalledProcessError
        elif score and "sub-exception" in lines[at]:
            scores[at] = shapes.EXCEPTION - 4
    return scores


def _judge(line: str, *, binary: bool) -> _Line:
    level, indent, text = read(line)
    text = _ends(text, _WIDTH)
    if "\ufffd" in text and (binary or text.count("\ufffd") * 8 > len(text)):
        return _Line(shapes.NOISE, indent, "")
    if shapes.is_noise(line[:_JUDGED_WIDTH]) or (
        text is not line and shapes.is_noise(text[:_JUDGED_WIDTH])
    ):
        return _Line(shapes.NOISE, indent, "" if binary else text)
    text = _tidy(text)
    if binary and not compiled(_READABLE).search(text):
        return _Line(shapes.NOISE, indent, "")
    if text.endswith("] {"):
        text = text[:-2]  # node's properties of the error follow
    return _Line(shapes.score(level, _ends(text, _JUDGED_WIDTH)), indent, text)


def _ends(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width // 2]} … {text[-width // 2 :]}"


def _regard_next(lines: list[_Line], at: int, raw: str, raw_next: str) -> None:
    """Correct the scores of a line and the next where only both together explain one."""
    line, following = lines[at], lines[at + 1]
    if compiled(_PANICKED).match(raw):
        lines[at + 1] = following._replace(score=shapes.EXCEPTION)
    elif line.text == "Caused by:":
        _regard_chain(lines, at)
    elif following.score == shapes.NOISE and compiled(_CARET).fullmatch(raw_next):
        if line.score < shapes.EXCEPTION and not shapes.is_marked(line.text):
            lines[at] = line._replace(score=shapes.NOISE)  # the source that a compiler quotes
    elif _continues(line, following, raw_next):
        score = line.score if line.score < shapes.CAUSE else shapes.PLAIN
        lines[at + 1] = following._replace(score=score, indent=line.indent + 1)
    elif (
        line.indent < following.indent
        and shapes.CAUSE <= line.score < following.score < shapes.EXCEPTION
    ):
        lines[at] = line._replace(score=following.score)
        lines[at + 1] = following._replace(score=shapes.PLAIN)
    elif _sums_up(line, following) or _is_detailed_by(line, following):
        lines[at] = line._replace(score=max(shapes.ERROR, following.score))
        lines[at + 1] = following._replace(score=shapes.PLAIN)
    elif compiled(_GO_FRAME).fullmatch(raw_next) and (
        " " not in line.text or compiled(_GO_CALL).match(line.text)
    ):
        lines[at] = line._replace(score=shapes.NOISE)
    elif shapes.PLAIN <= line.score < shapes.EXCEPTION and not line.indent:
        told = any(before.score >= shapes.EXCEPTION for before in lines[max(0, at - 3) : at])
        told = told or line.text[:2] in ("- ", "* ")  # an item of what the exception lists
        if not told and compiled(_FRAME).match(raw_next):
            lines[at] = line._replace(score=shapes.EXCEPTION)


def _regard_chain(lines: list[_Line], at: int) -> None:
    """Correct the scores of the causes below a line `Caused by:`: the last is the deepest."""
    last = at + 1
    while last + 1 < len(lines) and compiled(_NUMBERED).match(lines[last + 1].text):
        last += 1
    is_deepest = all(line.text != "Caused by:" for line in lines[last + 1 : last + 4])
    least = shapes.EXCEPTION if is_deepest else shapes.CAUSE + 2
    lines[last] = lines[last]._replace(score=max(least, lines[last].score))


def _sums_up(line: _Line, following: _Line) -> bool:
    """Say whether a line only announces what the next one tells."""
    return (
        line.score in (shapes.SUMMARY, shapes.SUMMARY_OF_ERROR)
        and line.text.endswith(":")
        and line.indent < following.indent
        and shapes.INFO <= following.score < shapes.EXCEPTION
    )


def _is_detailed_by(line: _Line, following: _Line) -> bool:
    outdone = shapes.SUMMARY <= line.score < following.score
    return outdone and compiled(_DETAIL).match(following.text) is not None


def _continues(line: _Line, following: _Line, raw: str) -> bool:
    """Say whether a line is the rest of a sentence that its program wrapped."""
    return (
        len(line.text) >= _WRAPPED_AT
        and line.text[-1] not in ".:;!?"
        and following.text[:1].islower()
        and " " in following.text
        and raw.lstrip(" \t│|").startswith(following.text[:8])  # no stamp, no level
        and shapes.ADVICE < following.score < shapes.EXCEPTION
        and line.score > shapes.ADVICE
        and not shapes.is_from_program(following.text)
        and not compiled(_NEW_SENTENCE).match(following.text)
        and not shapes.is_marked(following.text)
    )


def _errors(lines: Sequence[_Line]) -> list[int]:
    """Return the places of lines that tell of an error, the most telling first.

    Of equals the first comes first; of those that only might tell of one, the last.
    """
    scored: list[tuple[int, int]] = []
    after = 0
    for at in range(len(lines) - 1, -1, -1):
        score = lines[at].score
        if score >= shapes.SUMMARY:
            place = -at if score == shapes.PROGRAM else at
            scored.append((-(score - _MOVED_ON if after > _NEAR else score), place))
        after += shapes.NOISE < score < shapes.SUMMARY
    scored.sort()
    return [abs(place) for _, place in scored]


def _whole(lines: Sequence[_Line], at: int) -> str:
    """Return a line with up to two after it that complete it."""
    line = lines[at]
    text = line.text
    for detail in lines[at + 1 : at + 3]:
        if not _completes(text, line.indent, detail):
            break
        text += _joint(text, detail.text) + detail.text
    return text


def _completes(text: str, indent: int, detail: _Line) -> bool:
    """Say whether a line is indented below `text`, a detail by name, or what it announces."""
    if detail.score in (shapes.NOISE, shapes.ADVICE, shapes.INFO):
        return False
    if len(text) + len(detail.text) > _LONGEST_DETAIL:
        return False
    if detail.indent > indent or compiled(_DETAIL).match(detail.text):
        return True
    return compiled(_OPEN).search(text) is not None


def _joint(text: str, detail: str) -> str:
    wrapped = len(text) >= _WRAPPED_AT and text[-1].isalnum() and detail[:1].islower()
    return " " if wrapped or text[-1] in ":,;.(=" or compiled(_DETAIL).match(detail) else ": "


def _last_words(lines: Sequence[_Line]) -> list[str]:
    """Return the last line that is not noise, preferably one that is no advice either."""
    for least in (shapes.TELLING_INFO, shapes.PLAIN, shapes.ADVICE, shapes.INFO, shapes.NOISE):
        for line in reversed(lines):
            if line.score >= least and compiled(r".*\w").match(line.text):
                return [_tidy(line.text.lstrip("+ "))]
    return []


def _distinct(texts: Sequence[str]) -> list[str]:
    """Return the first three texts that say different things, all but the first in order."""
    kept: list[str] = []
    said: list[set[str]] = []
    for text in map(_tidy, texts):
        words = set(compiled(r"\w+").findall(text.lower())) or {text}
        if any(text in other for other in kept):
            continue
        ends = [at for at, other in enumerate(kept) if text.endswith(f": {other}")]
        if ends:
            kept[ends[0]], said[ends[0]] = text, words
        if ends or any(other in text for other in kept):
            continue
        if any(len(words & other) * 10 >= 8 * max(len(words), len(other)) for other in said):
            continue
        kept.append(text)
        said.append(words)
        if len(kept) == 3:
            break
    return kept


def _tidy(text: str) -> str:
    return " ".join(text.split())
