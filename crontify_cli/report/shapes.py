"""Scores one line of output by its shape: how likely it names the cause of a failure.

The tables hold wording and layout that many programs share, not names of programs.
"""

import re
from functools import cache

# From best to worst. What scores less than CAUSE never stands next to another line.
ROOT, EXCEPTION, ERROR, CAUSE = 92, 86, 68, 50
SUMMARY_OF_ERROR, TELLING_WARNING, BUSY, PROGRAM, WARNING, SUMMARY = 49, 47, 46, 45, 34, 32
TELLING_INFO, PLAIN, FIGURE, ADVICE, INFO, NOISE = 30, 20, 15, 10, 6, 0


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern when it is first needed: most runs succeed and need none."""
    return re.compile(pattern)


def _any(lines: str) -> str:
    """Return the pattern that matches what any of the lines matches."""
    return "(?:" + "|".join(line.strip() for line in lines.strip().split("\n")) + ")"


_NOISE = _any(r"""
    [\W\d_]*+$
    \s+(?:at |\.\.\. \d|from \S+:\d+:in |thrown in |File "|@ \S|\[\d+\] \S|\[C\]: )
    \s*File "[^"]*", line \d+
    #\d+\s+(?:0x|\{main|\[internal|\S+\(\d+\)|.{0,200}\(\S{1,200}:\d+)
    \s+\d+: +(?:0x|[\w<]+::|\w+$)
    \s+\(\w[^)]{0,40}\) \S+:\d+: |\s+\S+:\d+:(?:\d+:)? in\s
    \s+\S.{0,300} called at \S+ line \d+|\s+\w+, called at\s
    \++ |goroutine \d+ |\[signal SIG|created by \S+ in goroutine
    \s*\d+ +\||\s*(?:[➜❱→>] *)?\d+▕|\s*\|(?:\s*$|\s{2,}|\s*[\^~-])|\s*> +\d+ \||\s*│\s+\d+:\s
    \s*(?:-->|:::) \S+:\d+|\S+:\d+(?::\d+)?$|\s*# \S+:\d+:in\s
    \S+:\d+:in [`'][^`']*'$|\[stacktrace\]$
    (?:[Ss]tack ?[Tt]race(?:back)?|[Ss]tack [Bb]acktrace|Backtrace|Call[Ss]tack|Calls)\b.{0,40}:
    --- End of |in expression starting at |LINE \d+:|Node\.js v|# [\w./-]+$|[\w.-]*\s*: +ok=\d
    thread '.*'(?: \(\d+\))? panicked at \S+:\d+:$
    \s*"?(?:errno|code|syscall|path|address|port|signal|cwd|cmd|dest|killed|spawnargs)"?:\s
    (?:code|errno|syscall|path|dest|cwd|command|signal|workspace|location) \S+$
""")
"""Blank lines, rulers, stack frames, quoted source, traced commands, properties of errors."""

# What follows down to the exceptions is matched against lower case.
_ADVICE = r"[\W_]*(?:error:\s)?" + _any(r"""
    (?:see|try|visit|consider|ensure|want|maybe|perhaps|available|did you|make sure|verify that)\s
    (?:please|usage|hint|note|tip|help|reminder|additionally)\b|options:$|examples?:$
    for (?:more|help|usage|details|info)|(?:learn|read|additional) (?:more|info)|more info
    is (?:the|there|it) |are you sure|you (?:can|may|might|could|should)\b|there is likely\s
    if (?:you|this|the|it) |(?:check|ask) (?:the|that|your|if|for|whether)
    re-?run\b|retry with |consult |refer to |report bugs|or (?:set|use|run)\s
    type ['"`:]|use (?!of\b)|run (?:['"`]|with|again)|\* (?:try|run|get)
    to (?:see|get|fix|use|run|list|re-?run|resolve|accept|continue|skip|ignore|debug|change)\s
    to (?:enable|disable|address|\w+ (?:an?|the|this|these|your|it|that|more))\s
    a complete log of |full (?:log|output)|\S*/_logs/|https?://\S+\W*$|\[help \d
    \(?background on |\[(?:sql|parameters): |(?:context|statement): |in addition:|caused by:$
    this is (?:related to|probably not)|total time:
""")
_HEADING = r"[*=#~_!-]{8,}$"
_SUMMARY_HINT = (
    r"exit|error|fail|code|status|abort|halt|terminat|return|recover|test|giving|see "
    r"|done|problem|unsuccess|incomplete|previous|due to|fehler|erreur|errores"
)
"""Quick to look for, and part of whatever is a summary."""
_SUMMARY = _any(
    r"""
    previous (?:errors?|failures?)\b|due to (?:\d+ )?(?:previous|compilation|the above)
    \b(?:exit(?:ed|ing)?|returned|finished|failed|terminated|completed|ended)\b[^:]{0,30}"""
    r"""\b(?:with|status|code|non-?zero|value)\b[^:]{0,24}(?:\d|failure|error|status)
    \b(?:exit|return|error|status)[ -]?(?:code|status)[ =:]+-?\d+\W*$|exit status \d+$
    \bcode=exited|failed with result|\d exit status\b|\(code \d+\)
    \*\*\* (?:\[.*\] |.*)error -?\d+|: \[.*\] error -?\d+|subcommand failed|recipe for target
    (?<![\w.:])[1-9]\d* (?<![45]\d\d )(?:\w+ ){0,2}(?:errors?|failures?|problems?)\b(?!: \S)
    (?:^\W*|[,;(|=+·-] ?|: |\b(?:with|and|of|but|had) )[1-9]\d* (?:\w+ ){0,2}failed\b(?!: \S)
    ^\W*(?:[\w-]+ )?[\w-]+ ?[:=] ?(?:failure|failed|error|aborted|incomplete)\W*$
    \b(?:failed|ended|terminated|aborted) with (?:an? )?(?:exceptions?|errors?)\W*$
    \b(?:errors|failures|failed)[=:] ?[1-9]|completed with \d+ err|\bincomplete, errors
    \berrors?(?:\(s\))? found\b
    ^\W*(?:fail|failed|failures?|failed tests|errors?|abort(?:ed|ing)|terminated)\W*$
    ^\W*(?:error occurr?ed|fail\s\S+\s[\d.]+s|build fail.*|giving up|lifecycle.*)\W*$
    \berrors? (?:have |were )?(?:been )?(?:occurr?ed|encountered)\W*$|not recoverable
    compilation (?:terminated|aborted)|compiler error output|could not compile|halted$
    ^test result: |^error: test failed|there are test failures|^\W*tests run:|^-+ fail
    index files failed|\berror=[1-9]|see (?:above|the (?:log|output))
    vorheriger? fehler|erreurs? précédentes?|errores anteriores
"""
)
_BARE_FAILURE = (
    r"\W*(?:[\w-]+ ){1,2}(?:has )?(?:failed|failure|aborted|halted|terminated|unsuccessful)\W*$"
)
_MANNERS = r"[\W_]*(?:[\w .-]{1,30}\]\W*|[\w.-]{1,30}: )?" + _any(r"""
    \d+[.%]|clean(?:ed)?[\s-]*up|good ?bye|bye|thank|done|finish|complete|success|ok\b
    closed|shut(?:ting)? ?down|stopped|exit\b|end(?:ed)?\b|disconnect|unlock|unmount
    (?:remov|delet|releas|restor|dropp|flush|sav|process)ed|copy\b|copied|loaded
    roll(?:ing|ed)? ?back|total\b|elapsed|(?:real|user|sys)\s|took |time:|duration
    start|begin|get:\d|hit:\d|report\b|skipp|crash dump is|pool\b|progress|step\b
    (?!(?:noth|miss|warn|str|dur|exist|incom|outgo|remain|follow|pend|expect)ing\b)[a-z]{2,}ing\b
    .{0,80}\s(?:ok|done|passed)(?:\W*|\s+\d\S*)$
""")
"""What programs say on their way, and when they leave."""
_ENDS_IN_FAILURE = (
    r"\b(?:failed|failure|errors?|aborted|lost)(?:\W*$|\s?[:;,(]"
    r"| (?:with|after|for|on|to|at|in|due|because)\b)"
)
"""Tells `connecting to db failed` from `closing failed connections`."""
_NEGATED = _any(r"""
    \b(?:no|0|zero|without(?: any)?|non-?fatal) (?:\w+ )?(?:errors?|fail\w+|warnings?|problems?)\b
    \b(?:errors?|failures?|failed|unreachable)[=:]\s?0\b|\bkeine (?:\w+ )?fehler
    \b(?:code|status|value|rc)[ =:]+0\b|: success\W*$
""")
_STRONG = r"(?<![\w-])" + _any(
    r"""
    no (?:such|space|route|match|matching|rule|module|package|valid|public|secret|default)\b
    no (?:configuration|suitable|response|data|hosts?|key|free|credentials|entry|nodes?)\b
    no (?:pom|available|longer|solution|candidates?|versions?|distribution|actionable|usable)\b
    another (?:instance|process|copy|job|backup|run)\b
    not (?:found|permitted|allowed|exist|supported|recogni[sz]ed|defined|known|a |an |in )
    not (?:available|authori[sz]ed|enough|connected|been|installed|implemented|accessible|match)
    not (?:valid|writable|readable|running|open|resolve|load|specified)
    not (?:reachable|be (?:found|opened|read|resolved|reached|established))\b
    (?:do|is|did|are|was|has|had|wo) ?n[o'’]t\s
    cannot\b|can['’]t\b|can not\b|could ?n[o'’]t\b|does ?n[o'’]t\b|unable to\s
    denied\b|access is denied|refused\b|forbidden|unauthori[sz]ed|tim(?:ed|e)[ -]?out\b
    unreachable|reset by|broken pipe|quota|disk (?:is )?full|stale file|insufficient
    out of (?:memory|range|bounds|space|disk)\b|inappropriate|exceed\w*
    too (?:many|long|large|big|few|small|old)
    already (?:exists?|in use|running|locked|been)|deadlock|conflicts?\b|overwritten|untracked
    un(?:recogni[sz]ed|defined|declared|bound|supported|resolved|expected(?:ly)?)\b
    expired|mismatch(?:ed)?|corrupt(?:ed|ion)?\b|incorrect|bad\b|wrong\b|violat\w+|throwing
    segmentation fault|bus error|(?:oom|killed)\b|\w+(?:killed|backoff)\b|assertion\b|attempt to\s
    syntax error|parse error|division\s
    (?:verification|authentication|authorization|handshake|validation|checksum|integrity)"""
    r""" (?:\w+ )?(?:failed|failure|error)
    [45]\d\d (?:bad|unauth|forbid|not|method|request|conflict|gone|too|internal)\w*
    [45]\d\d (?:service|gateway|unproc|precond|payload)\w*|5\d\d 5\.\d\.\d
    http\S* (?:error |status )?[45]\d\d\b|(?:status(?: code)?|error):?[ =:]+[45]\d\d\b
    e(?:noent|acces|conn\w+|timedout|addrinuse|nospc|notfound)\b|[45]\d\d error\b
    nicht (?:gefunden|möglich|verfügbar|erlaubt|erreichbar|lesbar|gesetzt)|verweigert|abgelehnt
    kein\w* (?:berechtigung|speicherplatz|platz|verbindung|zugriff|antwort|route)|ungültig\w*
    introuvables?|impossible|refusée?s?\b|non (?:accordé|trouvé|autorisé)e?s?\b|aucun espace
    no se (?:puede|pudo|encontró)|no existe|no encontrad[oa]|denegad[oa]
    impossibile|negato|non trovato
"""
)
"""Words that give a reason."""
_WEAK = r"(?<![\w./-])" + _any(r"""
    fail(?:ed|ure|s)?|fatal|errors?|exceptions?|panic|abort(?:ed|ing)?|dumped
    invalid|illegal|missing|required|unknown|rejected|duplicate|locked|lost|lacks?|overflow
    expected|assert(?:ion)?|disconnected|must|ambiguous|malformed|unterminated|unavailable
    unhandled|uncaught|never|not ok|differs?|differences|unhealthy|degraded
    offline|inconsistent|empty|lagging|stuck|stalled|behind
    there (?:is|are|was|were) no|no (?:\w+ ){1,3}(?:found|available|specified|defined|left|could be)
    fehlgeschlagen|gescheitert|abgebrochen|échoué|échec|falló|fallito
""") + r"(?![\w/-]|\.\w)"  # fmt: skip
"""Words of failure without a reason."""
_MARK = (
    r"(?:^|[\s:(\[])(warning|note|hint|info|error|fatal error|fatal|panic|e|fehler|erreur)"
    r"(?:\[\w+\]| [a-z]{0,5}\d+(?: \(\w+\))?| (?:response )?from [\w ]{1,30}"
    r"| (?:in|at) [^:]{1,80}| \(\w+\))?\s?:(?!:)"
)
_BARE_MARK = r"\W{0,3}(?:error|fatal)\b"
_LEAD = (
    r"\W*?(?:\w+ (?:err!|error)(?= [^ :])|[✔✓✅✗✘✖❌×](?= ?[^ ])"
    r"|(?:error|err|fatal|severe|critical|crit|warning|warn|info|failed(?! to )|failure|[ewn]:)"
    r"(?![\w-]))"
    r"[\]!:\s]*(?=\S)"
)
"""A mark in front of a line that may turn out to be advice."""
_LEVELS = {
    "warning": "warning",
    "info": "info",
    **dict.fromkeys(("note", "hint"), "advice"),
    **dict.fromkeys(("error", "fatal error", "fatal", "panic", "e", "fehler", "erreur"), "error"),
}
_LEAD_LEVELS = (
    *(("warn", "warning"), ("info", "info"), ("w:", "warning"), ("n:", "info")),
    *(("✔", "info"), ("✓", "info"), ("✅", "info")),
)

# And these against the line as it is.
_ROOT = r"\W*(?:Caused by|\[cause\]): .|---> ."
_THROWN = _any(r"""
    Exception in thread "[^"]*"\s
    (?:\w+:? ){0,2}?[Uu]ncaught (?:[Ee]xception:? )?(?:\(in promise\) )?
    Unhandled [Ee]xception[.:]\s
    ERROR: LoadError:\s
""")
_EXCEPTION = _any(r"""
    %s?[\[(]?(?:[\w$-]+(?:\.|::|\\|/))*+[A-Z][\w$]*(?:Error|Exception|Failure|Exit|Interrupt"""
    r"""|Timeout|Fault|Rejection|Panic|Violation|Failed|Denied|Refused|NotFound|Iteration)"""
    r"""(?: \[\w+\]|\(\d+\)|\s\(\w+\)|\*)?(?:: .*|:?$)
    %s?(?:[a-z_][\w$]*\.)++(?:[A-Z][\w$]*\.)*+[A-Z][\w$]+: \S
    \*\* \(\w[\w.]*\) .
    .{1,300}:\d+:in .{1,600}\([\w:]+\)$
    (?:panic|fatal error|Fatal error: exception):? \S
    (?:PHP )?(?:Fatal|Parse|Recoverable fatal) error:\s+\S
    thread '.*' panicked at '.
""") % (_THROWN, _THROWN)  # fmt: skip
_IN_SOURCE = r"[^\s:]+\.\w+:\d+:(?:\d+:)? \S"
"""What a linter finds, as `a.py:1:8: …`."""
_FIGURE = r"[A-Z][\w /-]{1,40}:\s+[\d.,]+ ?[\w%]{0,8}"
"""A line of statistics."""
_AT_LINE = r" at \S+ line \d+[.,]"
_RELAYED = r"[\W_]*[A-Z]*\W+[a-z][\w.+/-]*: \S"
"""What a scheduler's logger passes on from a program, as `INFO - cp: …`."""
_PROGRAM_SAYS = r"[a-z][\w.+/()@-]*(?:\[\d+\])?: \S"


def is_noise(line: str) -> bool:
    """Say whether a line only accompanies others: a frame, a ruler, a quotation."""
    return compiled(_NOISE).match(line) is not None


def is_marked(text: str) -> bool:
    """Say whether a line calls itself an error, a warning or a note."""
    return compiled(_MARK).search(text.lower()) is not None


def is_from_program(text: str) -> bool:
    """Say whether a line begins with its program's name, as `tar: …`."""
    return compiled(_PROGRAM_SAYS).match(text) is not None


def score(level: str, text: str) -> int:
    """Return how likely a line names the cause.

    level: what its logger called it, as `logline.read` found it. text: one line,
    without time stamp.
    """
    low = text.lower()
    denials = 0
    if "0" in low or "no" in low or "without" in low or "kein" in low:
        low, denials = compiled(_NEGATED).subn("", low)
    level = level or _marked_level(low)
    body = low
    if lead := compiled(_LEAD).match(low):
        body = low[lead.end() :]
        level = level or next((kind for mark, kind in _LEAD_LEVELS if mark in lead[0]), "error")
        if is_noise(body):
            return NOISE
    if level == "advice" or compiled(_ADVICE).match(body) or compiled(_HEADING).search(low):
        return ADVICE
    strong = compiled(_STRONG).search(low) is not None
    if compiled(_SUMMARY_HINT).search(body) and compiled(_SUMMARY).search(body):
        return INFO if level == "info" else SUMMARY_OF_ERROR if strong else SUMMARY
    if not strong and level != "info" and compiled(_BARE_FAILURE).match(body):
        return SUMMARY
    if level == "info":
        return _info(text) if strong else INFO
    if level == "warning":
        return TELLING_WARNING if strong else WARNING
    if compiled(_ROOT).match(text):
        return ROOT
    if compiled(_EXCEPTION).match(text):
        return EXCEPTION
    if level == "error":
        if text.endswith(" :"):
            return INFO  # a logger's name without a message
        return ERROR + (14 if strong else 8 if "fatal" in low[:60] else 0)
    if strong:
        return ERROR + (14 if is_from_program(text) else 4)
    return INFO if denials and not compiled(_WEAK).search(low) else _unmarked(low, text)


def _marked_level(low: str) -> str:
    mark = next(iter(compiled(_MARK).findall(low, 0, 200)), "")
    return _LEVELS.get(mark, "error" if compiled(_BARE_MARK).match(low) else "")


def _info(text: str) -> int:
    relayed = compiled(_RELAYED).match(text)
    return SUMMARY_OF_ERROR if relayed else TELLING_INFO


def _unmarked(low: str, text: str) -> int:
    if compiled(_AT_LINE).search(text):
        return WARNING if low.startswith("use of ") else CAUSE + 10
    weak = compiled(_WEAK).search(low) is not None
    if compiled(_MANNERS).match(low) and not compiled(_ENDS_IN_FAILURE).search(low):
        return BUSY if weak else INFO
    if weak:
        return CAUSE + 2
    if compiled(_IN_SOURCE).match(text):
        return SUMMARY_OF_ERROR
    if compiled(_FIGURE).fullmatch(text):
        return FIGURE
    return PROGRAM if is_from_program(text) else PLAIN
