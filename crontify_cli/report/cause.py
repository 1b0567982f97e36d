"""Finds the lines of a failed job's output that say why it failed.

Each line is judged by its shape: an exception, an error, a summary of errors,
advice, information, or noise. The best one is taken, the first of equals, because
later errors tend to follow from earlier ones; up to two more where they add to it.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from crontify_cli.report.excerpt import cut, units
from crontify_cli.report.logline import read

LOOKED_AT = 64 * 1024
"""Bytes of the end of the output that are searched."""
_MOST_LINES = 2000
_TORN = 4096
"""Bytes that may belong to a secret torn by the cut, where no line ends nearby."""
_WIDTH = 600
"""Characters of a line that are looked at: its beginning and its end."""
_LAST = 100
"""Lines at the end that are all judged."""
_MOST_JUDGED = 200
"""Lines that are judged at most: the last ones, and others with a word of failure."""
_NEAR = 20
"""Lines after an error within which the program has not moved on from it."""
_MOVED_ON = 25
"""What a line's score loses if the program did."""

_HINT = (
    r"[Ee]rror|ERROR|[Ff]ail|FAIL|[Ff]atal|FATAL|[Ee]xception|panic|[Dd]enied|refused|not |n't |[Nn]o "
    r"|SEVERE|CRIT|[Uu]nable|[Kk]illed|abort|[Ii]nvalid|[Uu]nknown|[Mm]issing|time|\berr\b|fault|:50,"
)

# Scores. What is below _CAUSE never stands next to another line.
_ROOT, _EXCEPTION, _ERROR, _CAUSE = 92, 86, 68, 50
_SUMMARY_OF_ERROR, _PROGRAM, _WARNING, _SUMMARY, _PLAIN, _ADVICE, _INFO = 49, 45, 34, 32, 20, 10, 6
_NOISE = 0

_NOISE_SHAPE = r"""(?x)
    [\W\d_]*+$                                                 # blank, rulers, ^^^^
  | \s+(?:at\ |\.\.\.\ \d|from\ \S+:\d+:in\ |thrown\ in\ |File\ "|@\ \S|\[\d+\]\ \S|\[C\]:\ )
  | \s*File\ "[^"]*",\ line\ \d+
  | \#\d+\s+(?:0x|\{main|\[internal|\S+\(\d+\)|.{0,200}\(\S{1,200}:\d+)  # PHP, Dart, gdb
  | \s+\d+:\ +(?:0x|[\w<]+::|\w+$) | \s+at\ \S+:\d+            # Rust
  | \s+\(\w[^)]{0,40}\)\ \S+:\d+: | \s+\S+:\d+:\ in\ | \s+\S+:\d+:\d+:\ in\     # Elixir, Lua
  | \s+\S.{0,300}\ called\ at\ \S+\ line\ \d+                  # Perl
  | \++\ | goroutine\ \d+\ | \[signal\ SIG | created\ by\ \S+\ in\ goroutine
  | \s*\d*\ +\|(?:\ |$) | \s*-->\ \S+:\d+ | \s*\d+\ \|\ | \s*:::\ \S+:\d+  # compilers quoting
  | \s*>\s+\d+\ \| | \S+:\d+(?::\d+)?$ | LINE\ \d+:
  | (?:[Ss]tack\ ?[Tt]race(?:back)?|[Ss]tack\ [Bb]acktrace|Backtrace|Call[Ss]tack|Calls)\b.{0,40}:
  | Node\.js\ v | ---\ End\ of\  | thread\ '.*'(?:\ \(\d+\))?\ panicked\ at\ \S+:\d+:$
  | \s*│\s+\d+:\  | \s+\w+,\ called\ at\  | \s*\#\ \S+:\d+:in\  | \#\ [\w./-]+$ | in\ expression\ starting\ at\ | [\w.-]*\s*:\s*ok=\d+
  | \s*(?:errno|code|syscall|path|address|port|signal|cwd|cmd|dest|killed|spawnargs):\s
  | (?:code|errno|syscall|path|dest|cwd|command|signal|workspace|location|lifecycle\ script)\ \S+$
"""

# All below are matched against lower case.
_ADVICE_SHAPE = r"""(?x) [\W_]*(?:error:\s)?
  (?: see\s | try\s | please\b | usage\b | hint\b | note\b | tip\b | help\b | for\ (?:more|help|usage|details|info)
    | did\ you\ | maybe\ | perhaps\ | is\ (?:the|there|it)\ | are\ you\ sure | you\ (?:can|may|might|could|should)\b
    | make\ sure | ensure\ | verify\ that | consider\ | re-?run\b | retry\ with | consult\ | refer\ to | visit\
    | learn\ more | more\ info | additional\ info | additionally | type\ ['"`:] | use\ (?!of\b) | run\ (?:['"`]|with|again)
    | (?:check|ask)\ (?:the|that|your|if|for|whether) | if\ (?:you|this|the|it)\ | to\ (?:see|get|fix|use|run|list|rerun|re-run
    | resolve|accept|continue|skip|ignore|enable|disable|address|debug|change)\ | a\ complete\ log\ of | \[help\ \d | \S*/_logs/ | https?://
    | \(?background\ on | \[(?:sql|parameters): | context: | statement: | report\ bugs | this\ is\ related\ to
    | this\ is\ probably\ not | there\ is\ likely\ | options:$ | examples?:$ | available\ | read\ more | or\ (?:set|use|run)\
    | caused\ by:$ | want\ | in\ addition: | reminder | \*\ (?:try|run|get) | full\ (?:log|output) | total\ time:
  )"""
_SUMMARY_HINT = r"exit|error|fail|code|status|abort|halt|terminat|return|recover|test|giving|see |recap|done|elifecy|problem|unsuccess|incomplete|previous|due to"
_SUMMARY_SHAPE = r"""(?x)
    previous\ (?:errors?|failures?)\b | due\ to\ (?:\d+\ )?(?:previous|compilation|the\ above)
  | \b(?:exit(?:ed|ing)?|returned|finished|failed|terminated|completed|ended)\b[^:]{0,30}\b(?:with|status|code|non-?zero|value)\b[^:]{0,24}(?:\d|failure|error|status)
  | \b(?:exit|return|error|status)[ -]?(?:code|status)[\ =:]+-?\d+\W*$ | \bcode=exited | failed\ with\ result
  | ^(?:\S+\ )?[\W_]*(?:g?make|ninja)\S*:\ (?:\*\*\*\ )?(?:\[.*\]\ |.*)error\ -?\d+
  | \b[1-9]\d*\ (?:\w+\ ){0,2}(?:errors?|failures?|failed|problems?)\b(?!:\ \S) | \b(?:errors|failures|failed)[=:]\ ?[1-9]
  | ^\W*(?:build|compilation|tests?|installation|job|run|task|script|pipeline|execution|check|backup|migration|import|sync|deploy(?:ment)?|process|application\ run|command)\s(?:has\ )?(?:failed|failure|aborted|halted|terminated|unsuccessful)\W*$
  | ^\W*(?:fail|failed|failure|failures|failed\ tests|errors?|aborted|aborting|terminated|error\ occurr?ed|fail\s\S+\s[\d.]+s)\W*$
  | ^\W*build\ fail | not\ recoverable | compilation\ (?:terminated|aborted) | \berrors?\ (?:have\ |were\ )?(?:been\ )?(?:occurr?ed|encountered)\W*$
  | ^-+\ fail | \bincomplete,\ errors | compiler\ error\ output | halted$ | could\ not\ compile | recipe\ for\ target
  | \d\ exit\ status\b | \(code\ \d+\) | ^test\ result:\ | ^error:\ test\ failed | there\ are\ test\ failures | ^\W*elifecycle | index\ files\ failed | exit\ status\ \d+$
  | play\ recap | ^\W*tests\ run: | ^done\b | completed\ with\ \d+\ err | see\ (?:above|the\ (?:log|output)) | giving\ up\W*$
"""
_MANNERS = r"""(?x) [\W_]*(?: \d+[.%] | clean(?:ing|ed)?[\s-]*up | bye | good\ ?bye | done | finish | complete | closing | closed | shutting\ down | shutdown
  | stopp(?:ing|ed) | exiting | exit\b | end\b | ended | remov(?:ing|ed) | delet(?:ing|ed) | releas(?:ing|ed) | disconnect | restor(?:ing|ed)
  | unlock | unmount | terminating | total\b | elapsed | real\s | user\s | sys\s | success | ok\b | start | begin | running
  | collecting | downloading | fetching | get:\d | hit:\d | reading | building | processing | processed | copy(?:ing|ied) | loading | loaded
  | sending | connecting | using | waiting | creating | compiling | finished | report(?:ing)?\b | skipp | took\ | time: | duration | crash\ dump\ is
  | rolling\ back | rollback | roll(?:ed)?\ back | dropping | flushing | saving | goodbye | thank | pool\b | progress | step\b )"""
_NEGATED = r"\b(?:no|0|zero|without(?: any)?|non-?fatal) (?:\w+ )?(?:errors?|failures?|failed|warnings?|problems?)\b|\b(?:errors?|failures?|failed|unreachable)[=:]\s?0\b"

_STRONG_SHAPE = r"""(?x)(?<![\w-])(?:
    no\ (?:such|space|route|match|matching|rule|module|package|valid|public|secret|default|pom|configuration|suitable|response|data|hosts?|key|free|credentials|entry|nodes?|available)\b
  | not\ (?:found|permitted|allowed|exist|supported|recogni[sz]ed|defined|known|a\ |an\ |in\ |available|be\ (?:found|opened|read|resolved|reached)|authori[sz]ed|enough|connected|been|installed|implemented|accessible|match|valid|writable|readable|running|open|resolve|load|specified)
  | permission\ denied | access\ (?:is\ )?denied | denied\b | refused\b | tim(?:ed|e)[\ -]?out\b | unreachable | reset\ by | broken\ pipe
  | quota | disk\ (?:is\ )?full | out\ of\ (?:memory|range|bounds|space|disk) | cannot\b | can['’]t\b | can\ not\b | could\ ?n[o'’]t\b | unable\ to | does\ ?n[o'’]t\b | do\ not\ | is\ not\ |did\ not\ | are\ not\ |was\ not\
  | already\ (?:exists?|in\ use|running|locked|been) | unrecogni[sz]ed | undefined | undeclared | unbound | expired | mismatch | mismatched | corrupt(?:ed|ion)?\b | conflicts?\b | unauthori[sz]ed | forbidden
  | segmentation\ fault | bus\ error | violat\w+ | deadlock | too\ (?:many|long|large|big|few|small|old) | exceed\w* | unsupported | insufficient | incorrect | syntax\ error | parse\ error
  | unexpected(?:ly)?\b | division\ (?:by\ zero)? | attempt\ to | unresolved | oom\b | assertion | (?:verification|authentication|authorization|handshake|validation|checksum|integrity)\ (?:\w+\ )?(?:failed|failure|error) | killed\b | no\ longer | throwing | access\ denied | overwritten | bad\ | wrong\ | untracked
  | [45]\d\d\ (?:bad|unauth|forbid|not|method|request|conflict|gone|too|internal|bad|service|gateway|unproc|precond|payload)\w* | http\S*\ (?:error\ |status\ )?[45]\d\d\b | status(?:\ code)?[\ =:]+[45]\d\d\b | error:?\ [45]\d\d\b
  | enoent | eacces | econn\w+ | etimedout | eaddrinuse | enospc | enotfound | oomkilled | crashloopbackoff | imagepullbackoff | 5\d\d\ 5\.\d\.\d
)"""
_WEAK_SHAPE = r"(?<![\w./-])(?:failed|failure|fails?|fatal|errors?|invalid|illegal|missing|required|unknown|rejected|aborted?|aborting|exceptions?|duplicate|locked|lost|lacks?|overflow|panic|expected|assert(?:ion)?|dumped|disconnected|must|ambiguous|malformed|unterminated|unhandled|uncaught|not ok|warning|unavailable|never)(?![\w/-]|\.\w)"
_MARK_SHAPE = r"(?:^|[\s:(\[])(warning|note|hint|info|error|fatal error|fatal|panic|e)(?:\[\w+\]| [a-z]{0,5}\d+(?: \(\w+\))?| (?:response )?from [\w ]{1,30}| in [^:]{1,80}| at [^:]{1,80}| \(\w+\))?\s?:(?!:)"

# With their case.
_ROOT_SHAPE = r"\W*(?:Caused by|\[cause\]): .|---> ."
_EXCEPTION_SHAPE = r"""(?x)
    (?:Exception\ in\ thread\ "[^"]*"\ |(?:\w+:?\ ){0,2}?[Uu]ncaught\ (?:[Ee]xception:?\ )?(?:\(in\ promise\)\ )?|Unhandled\ [Ee]xception[.:]\ |ERROR:\ LoadError:\ )?
    [\[(]?(?:[\w$-]+(?:\.|::|\\|/))*+[A-Z][\w$]*(?:Error|Exception|Failure|Exit|Interrupt|Timeout|Fault|Rejection|Panic|Violation|Failed|Denied|Refused|NotFound|Iteration)
        (?:\ \[\w+\]|\(\d+\)|\s\(\w+\)|\*)?(?::\ .*|:?$)
  | (?:Exception\ in\ thread\ "[^"]*"\ )?(?:[a-z_][\w$]*\.)++(?:[A-Z][\w$]*\.)*+[A-Z][\w$]+:\ \S.*
  | \*\*\ \(\w[\w.]*\)\ .+ | .{1,300}:\d+:in\ .{1,900}\([\w:]+\)$ | (?:panic|fatal\ error|Fatal\ error:\ exception):?\ \S.*
  | (?:PHP\ )?(?:Fatal|Parse|Recoverable\ fatal)\ error:\s+\S.* | thread\ '.*'\ panicked\ at\ '.+
"""
_FRAME_SHAPE = (
    r"\s+at \S|\s+from \S+:\d+:in |#0\s|\s+\.\.\. \d|Stack trace:|\s+\(\w[^)]{0,40}\) \S+:\d+: "
)
_PROGRAM_SHAPE = r"[a-z][\w.+/()-]*(?:\[\d+\])?: \S"
_TRACEBACK = r"([ |]*)(?:\+ Exception Group )?Traceback \(most recent call last\):"
_CHAINED = r"[ |]*(?:During handling of the above|The above exception was)"
_LEAD = (
    r"\W*(?:\w+ (?:err!|error)(?= [^ :])"
    r"|(?:error|err|fatal|severe|critical|crit|warning|warn|info|failed|failure|[ewn]:)(?![\w-]))[\]!:\s]*(?=\S)"
)
_LEAD_LEVELS = (("warn", "warning"), ("info", "info"), ("w:", "warning"), ("n:", "info"))
_EXITED = r"returned non-zero exit status|exit code -?\d+$"
_HEADING = r"[*=#~-]{8,}$"
_PERL_SHAPE = r" at \S+ line \d+[.,]"
_WRAPPED_AT = 60
_PANICKED = r"thread '.*'(?: \(\d+\))? panicked at \S+:\d+:$"
_GO_FRAME = r"\s+/?\S+\.\w+:\d+(?: \+0x\w+)?"
_OPEN = r":$|\d (?:\w+ )?errors? (?:for|in) \S+$|\) at \S+ \(.*\)\.$"
_CARET = r"(?:\[\w+\])?[\s|]*[\^~][\^~\s|]*"
_READABLE = r"[A-Za-z]{2,}\W{1,3}[A-Za-z]{2,}"
_BARE_MARK = r"\W{0,3}(?:error|fatal)\b"
_LEVEL_OF_MARK = {
    **dict.fromkeys(("note", "hint"), "advice"),
    **{"warning": "warning", "info": "info"},
    **dict.fromkeys(("error", "fatal error", "fatal", "panic", "e"), "error"),
}
_DETAIL_SHAPE = r"\W*(?:\d+\W+)?(?:DETAIL|Detail|detail|Reason|reason):\s"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


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
    if lines[best].score < _CAUSE:
        before = [line.text for line in lines[:best] if line.score >= _PLAIN]
        return _distinct([_whole(lines, best), *before[-1:]])
    near = [at for at in found[1:] if lines[at].score >= max(_CAUSE, lines[best].score - 28)]
    if len(near) > 2:  # the next best, and of its equals the last
        equals = [at for at in near[1:] if lines[at].score == lines[near[0]].score]
        near = [near[0], *reversed(equals), *near[1:]]
    return _distinct([_whole(lines, at) for at in [best, *near[:40]]])


def joined(causes: Sequence[str], room: int) -> str:
    """Return the causes as one line of at most `room` UTF-16 units, joined by ` | `.

    What is too long is cut in its middle or end; a later cause is left out before the
    first one has to give up more than half of the room.
    """
    line = ""
    for number, cause in enumerate(causes):
        separator = " | " if number else ""
        left = room - units(line) - len(separator)
        waiting = min(len(causes) - number - 1, 1)
        share = left if not waiting else max(left // 2, left - units(causes[number + 1]) - 3)
        if number and left < 40:
            break
        line += separator + _shortened(cause, share)
    return line


def _shortened(text: str, room: int) -> str:
    if units(text) <= room:
        return text
    return cut(text, room - 1).rstrip() + "…" if room > 0 else ""


def _judged(text: str) -> list[_Line]:
    """Return the text's last lines that are not blank, with their scores; noise has 0.

    The last ones are all judged; of those before only so many, and only those with a
    word of failure in them: that bounds the time that any text takes.
    """
    raw = [line for line in text.split("\n") if line and not line.isspace()][-_MOST_LINES:]
    binary = text.count("\ufffd") * 50 > len(text)
    scores = _scores_of_tracebacks(raw)
    lines = [_Line(_NOISE if line[0] in " \t#+" else _PLAIN, 0, line) for line in raw]
    judged: list[int] = []
    far = len(raw) - _LAST
    hint = _compiled(_HINT).search
    for at in range(len(raw) - 1, -1, -1):
        score = scores[at]
        if score is not None:
            lines[at] = _Line(score, 0, raw[at].lstrip(" |+"))
        elif at >= far or (len(judged) < _MOST_JUDGED and hint(raw[at][:_WIDTH])):
            lines[at] = _judge(raw[at], binary=binary)
            judged.append(at)
        elif binary:
            lines[at] = _Line(_NOISE, 0, "")
    for at in reversed(judged):
        if at + 1 < len(lines):
            _regard_next(lines, at, raw[at], raw[at + 1])
    return lines


def _scores_of_tracebacks(lines: Sequence[str]) -> list[int | None]:
    """Return a score for each line of a Python traceback, None for all others.

    The last exception of a chain scores highest; one that Python ignores is noise.
    """
    scores: list[int | None] = [None] * len(lines)
    margin, ignored, last = -1, False, -1
    for at, line in enumerate(lines):
        if margin < 0 and (header := _compiled(_TRACEBACK).fullmatch(line)):
            margin = len(header[1]) + 2 * ("+ Exception" in line)
            scores[at] = _NOISE
        elif margin >= 0:
            scores[at] = _NOISE
            if len(line) - len(line.replace("|", " ").lstrip()) <= margin:
                if not ignored:
                    scores[at], last = _EXCEPTION + 2, at
                margin, ignored = -1, False
        elif line.startswith("Exception ignored "):
            ignored, scores[at] = True, _NOISE
        elif last >= 0 and _compiled(_CHAINED).match(line):
            scores[at], scores[last] = _NOISE, _EXCEPTION - 4
    for at, score in enumerate(scores):
        if score and _compiled(_EXITED).search(lines[at][:_WIDTH]):
            scores[at] = _SUMMARY_OF_ERROR  # as CalledProcessError
        elif score and "sub-exception" in lines[at]:
            scores[at] = _EXCEPTION - 4
    return scores


def _judge(line: str, *, binary: bool) -> _Line:
    level, indent, text = read(line)
    if len(text) > _WIDTH:
        text = f"{text[: _WIDTH // 2]} … {text[-_WIDTH // 2 :]}"
    if _compiled(_NOISE_SHAPE).match(line[:_WIDTH]) or (
        text is not line and _compiled(_NOISE_SHAPE).match(text)
    ):
        return _Line(_NOISE, indent, text)
    if "\ufffd" in text and (binary or text.count("\ufffd") * 8 > len(text)):
        return _Line(_NOISE, indent, "")
    text = _tidy(text)
    if binary and not _compiled(_READABLE).search(text):
        return _Line(_NOISE, indent, "")
    return _Line(_score(level, text), indent, text)


def _score(level: str, text: str) -> int:
    low = text.lower()
    if "0" in low or "no" in low or "without" in low:
        low = _compiled(_NEGATED).sub("", low)
    mark = "" if level else next(iter(_compiled(_MARK_SHAPE).findall(low, 0, 200)), "")
    if not level:
        level = _LEVEL_OF_MARK.get(mark, "error" if _compiled(_BARE_MARK).match(low) else "")
    body = low[lead.end() :] if (lead := _compiled(_LEAD).match(low)) else low
    if level == "advice" or _compiled(_ADVICE_SHAPE).match(body) or _compiled(_HEADING).search(low):
        return _ADVICE
    if body is not low:
        level = level or next(
            (kind for word, kind in _LEAD_LEVELS if word in low[: lead.end() if lead else 0]),
            "error",
        )
        if _compiled(_NOISE_SHAPE).match(body):
            return _NOISE
    strong = bool(_compiled(_STRONG_SHAPE).search(low))
    if _compiled(_SUMMARY_HINT).search(body) and _compiled(_SUMMARY_SHAPE).search(body):
        return _INFO if level == "info" else _SUMMARY_OF_ERROR if strong else _SUMMARY
    if level in ("", "error"):
        if _compiled(_ROOT_SHAPE).match(text):
            return _ROOT
        if _compiled(_EXCEPTION_SHAPE).match(text):
            return _EXCEPTION
    if level == "info":
        return _INFO + 24 * strong
    if level == "warning":
        return _WARNING + 8 * strong
    if level == "error":
        if text.endswith(" :"):
            return _INFO
        return _ERROR + (14 if strong else 8 if "fatal" in low[:60] else 0)
    if strong:
        return _ERROR + 4
    if _compiled(_PERL_SHAPE).search(text):
        return _WARNING if low.startswith("use of ") else _CAUSE + 10
    if _compiled(_MANNERS).match(low):
        return _INFO
    if _compiled(_WEAK_SHAPE).search(low):
        return _CAUSE + 2
    return _PROGRAM if _compiled(_PROGRAM_SHAPE).match(text) else _PLAIN


def _regard_next(lines: list[_Line], at: int, raw: str, raw_next: str) -> None:
    """Correct the scores of a line and the next where only both together explain one."""
    line, following = lines[at], lines[at + 1]
    if _compiled(_PANICKED).match(raw):
        lines[at + 1] = following._replace(score=_EXCEPTION)
    elif line.text == "Caused by:":
        lines[at + 1] = following._replace(score=max(_CAUSE + 2, following.score))
    elif following.score == _NOISE and _compiled(_CARET).fullmatch(raw_next):
        if line.score < _EXCEPTION and not _compiled(_MARK_SHAPE).search(line.text.lower()):
            lines[at] = line._replace(score=_NOISE)  # the source that a compiler quotes
    elif _continues(line, following, raw_next):
        score = line.score if line.score < _CAUSE else _PLAIN
        lines[at + 1] = following._replace(score=score, indent=line.indent + 1)
    elif line.indent < following.indent and _CAUSE <= line.score < following.score < _EXCEPTION:
        lines[at] = line._replace(score=following.score)
        lines[at + 1] = following._replace(score=_PLAIN)
    elif " " not in line.text and _compiled(_GO_FRAME).fullmatch(raw_next):
        lines[at] = line._replace(score=_NOISE)
    elif _PLAIN <= line.score < _EXCEPTION and not line.indent:
        told = at and lines[at - 1].score >= _EXCEPTION
        if not told and _compiled(_FRAME_SHAPE).match(raw_next):
            lines[at] = line._replace(score=_EXCEPTION)


def _continues(line: _Line, following: _Line, raw: str) -> bool:
    """Say whether a line is the rest of a sentence that its program wrapped."""
    return (
        len(line.text) >= _WRAPPED_AT
        and line.text[-1] not in ".:;!?"
        and following.text[:1].islower()
        and " " in following.text
        and raw.lstrip(" \t│|").startswith(following.text[:8])  # no stamp, no level
        and _ADVICE < following.score < _EXCEPTION
        and line.score > _ADVICE
        and not _compiled(_PROGRAM_SHAPE).match(following.text)
        and not _compiled(_MARK_SHAPE).search(following.text.lower())
    )


def _errors(lines: Sequence[_Line]) -> list[int]:
    """Return the places of lines that tell of an error, the most telling first."""
    scored: list[tuple[int, int]] = []
    after = 0
    for at in range(len(lines) - 1, -1, -1):
        score = lines[at].score
        if score >= _SUMMARY:
            scored.append((-(score - _MOVED_ON if after > _NEAR else score), at))
        after += score > _NOISE
    scored.sort()
    return [at for _, at in scored]


def _whole(lines: Sequence[_Line], at: int) -> str:
    """Return a line with the indented lines, or after a colon the one line, that complete it."""
    line = lines[at]
    text = line.text
    for number, detail in enumerate(lines[at + 1 : at + 3]):
        is_detail = detail.indent > line.indent or _compiled(_DETAIL_SHAPE).match(detail.text)
        if not is_detail and not (number == 0 and _compiled(_OPEN).search(text)):
            break
        if detail.score in (_NOISE, _ADVICE, _INFO) or len(text) + len(detail.text) > 300:
            break
        text += (
            " " if text[-1] in ":,;.(=" or "etail:" in detail.text.lower() else ": "
        ) + detail.text
    return text


def _last_words(lines: Sequence[_Line]) -> list[str]:
    """Return the last line that is not noise, preferably one that is no advice either."""
    for least in (_PLAIN, _ADVICE, _INFO, _NOISE):
        for line in reversed(lines):
            if line.score >= least and _compiled(r".*\w").match(line.text):
                return [_tidy(line.text.lstrip("+ "))]
    return []


def _distinct(texts: Sequence[str]) -> list[str]:
    """Return the first three texts that say different things, all but the first in order."""
    kept: list[str] = []
    said: list[set[str]] = []
    for text in map(_tidy, texts):
        words = set(_compiled(r"\w+").findall(text.lower())) or {text}
        if any(text in other or other in text for other in kept):
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
