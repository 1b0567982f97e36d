"""Runs crontab lines before and after wrapping, by the daemons' rules, and compares the effects.

    python -m tests.crontab.meaning --lines 300

The shell gets what the daemon would hand to it, the `%` part on its standard input. Compared
are the files, the output, the exit code, and that the report has the output.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from crontify_cli.crontab import wrap
from crontify_cli.crontab.lines import Line, read, shell_text
from crontify_cli.crontab.schedule import Dialect
from tests.server import KEY, ApiServer

PROGRAM = os.fsencode(Path(sys.executable).with_name("crontify"))
JOB = """#!/bin/sh
# Prints its arguments on both streams and its standard input, and exits with CODE.
printf 'out <%s>\\n' "$@"
echo "err $#" >&2
case $1 in cat) cat;; esac
exit ${CODE:-0}
"""
HAND_WRITTEN = r"""
job
job a  "b c" 'd  e'
job 'it'\''s' "it's" it\'s
job \% '50\%' "100\%"
job "$(echo a b)" `echo c`
job $(echo 'a  b')
job "`echo "x y"`"
job *.txt
job ~/x "$HOME" $HOME
job a > f
job a>f 2>&1
job a 2>&1 >f
job a > f 2> g
job a >> in.txt
job a 2>/dev/null
job a > /dev/null 2>&1
> f job a
> f 2>&1 job a b
2> g job a > f
job < in.txt
job cat < in.txt
job cat%one%two
job cat % lead%  two
job cat > f%one\%two%
cat%alpha%beta \\ gamma
cat | tr a-z A-Z%alpha%beta
tr a-z A-Z | cat > f%alpha%beta
echo a\\%b
echo 'a\\b' > f
echo "a\\b"
echo a\\ b
echo \\\% x
echo done # trailing words aren't a comment for cron
job a # 50\% isn't much
job a#b "#c" '#d'
echo a; echo b > f
echo a && echo b >> in.txt
echo a || echo b
cd / && pwd
cd bin; pwd > ../f
job a | cat
job a 2>&1 | sed 's/^/x: /'
job a | tee f
job a; job b;
job a ;
false
false || true
true && false
! true
! false
! job a > f
( job a; job b )
( job a; job b ) > f
( job a; job b )>f
( job a; exit 3 ) > f 2>&1
(job a)2>f
(job a)#comment
{ job a; job b; }
{ job a; job b; } > f 2>&1
if true; then job a; else job b; fi
if false; then job a; else exit 3; fi >f 2>&1 </dev/null
while read -r l; do echo "<$l>"; done < in.txt
while read -r l; do echo "<$l>"; done < in.txt > f 2>&1
for i in 1 2 3; do echo $i; done | tail -1
for i in 'a b' c; do job "$i"; done > f
case x in x) job a;; *) job b;; esac
case x in (x) job a;; esac > f
CODE=3 job a
X=1 Y="2 3" job $X "$Y"
X=1; job $X
X='a b'; job "$X" > f
export CODE=4 && job a
. ./env.sh; job "$FROM_ENV"
. ./env.sh && job "$FROM_ENV" > f
exec job a
exec job a > f
exec 2>&1; job a
test -f in.txt && job a
[ -f nothing ] || job b
[ -f in.txt ]
printf '%s\n' a b
printf '\%s\n' a b > f
true
kill -0 $$
eval 'job a; job b'
set -e; false; job never
umask 077; echo x > f
trap 'echo bye' EXIT; job a
sh -c 'echo "a; b" | tr ";" "x"'
sh -c 'exit 7'
env CODE=5 job a
nice -n 5 job a
timeout 20 job a
find . -name '*.txt' -exec basename {} \;
find . -name '*.txt' | sort | xargs -n 1 basename
awk '{ print $1 " \% " NR }' in.txt > f
job "$((1 + 2))" ${HOME:+set} "${NOTHING:-it's}"
job "$(printf '%s' \) )"
job $'tab' "a$" $
cat <<X
job a 3>&1 1>&2 2>&3
job a >&2
job "a
job caf? caf[!x]
job "" '' x
job a\ b
job {a,b}
X=$HOME job "$X"
X=1 job 2>&1 a >f
X=1 job >f a >g
echo >f a >g
exec job 2>&1 a >f
CODE="$((1 + 2))" Y=`echo a` job "$Y"
X=$(false)
X=$(job a)
$(job b >&2)
$(echo job) a
`echo job` a > f
sleep 0.01; job a
""".strip("\n").split("\n")
"""A hundred commands and more, as a crontab has them after its five fields."""

BASH_ONLY = r"""
job a &> f
job a &>> in.txt
cat <<< "hello # world" | wc -c
cat <<< hello
job > >(cat)
[[ -f in.txt ]] && job a
job $'it\'s'
job {1..3}
TIMEFORMAT=x; time true
f() { job a; }; f
""".strip("\n").split("\n")


class Effect(NamedTuple):
    """What a line did. files: the lines by name, of those in the home directory.

    The lines are sorted: of two streams that end in one file, exec relays each on its own.
    """

    files: Mapping[str, list[bytes]]
    out: list[bytes]
    err: list[bytes]
    code: int


class Case(NamedTuple):
    """One command for one daemon and one shell."""

    command: bytes
    dialect: Dialect
    shell: str


def compare(case: Case, api: ApiServer, folder: Path) -> str:
    """Return what differs once the command is wrapped, "" if nothing does or it is left."""
    before = _line(case, b"* * * * * " + case.command + b"\n")
    plan = wrap.plan(before, case.dialect)
    if plan.reason:
        return ""
    after = _line(case, wrap.insert(plan, PROGRAM, "monitor"))
    environ = {
        "CRONTIFY_API_KEY": KEY,
        "CRONTIFY_BASE_URL": api.url,
        "CRONTIFY_STATE_DIR": str(folder / "state"),
    }
    old, new = _run(case, before, folder, {}), _run(case, after, folder, environ)
    for name in Effect._fields:
        if getattr(old, name) != getattr(new, name):
            return f"{case}: {name}: {getattr(old, name)!r} became {getattr(new, name)!r}"
    return _missing(case, plan, old, folder / "state" / "logs")


def _line(case: Case, text: bytes) -> Line:
    setting = f"SHELL={case.shell}\n".encode()
    return read(setting + text, case.dialect)[1]


def _run(case: Case, line: Line, folder: Path, environ: Mapping[str, str]) -> Effect:
    """Run a line as its daemon does, in a fresh home directory."""
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    (home / "bin").mkdir(parents=True)
    (home / "bin/job").write_text(JOB)
    (home / "bin/job").chmod(0o755)
    (home / "in.txt").write_text("one\ntwo\nthree\n")
    (home / "env.sh").write_text("FROM_ENV='set there'\n")
    text = shell_text(line.command, case.dialect)
    rest = line.command[text.origin[-1] + 1 :] if text.has_stdin else b""
    # A % becomes a newline, an escaped one itself; a newline follows what does not end in one.
    given = re.sub(rb"\\%|%", lambda at: b"%" if at[0] == b"\\%" else b"\n", rest)
    given += b"\n" if given and not given.endswith(b"\n") else b""
    done = subprocess.run(
        [case.shell, "-c", text.text],
        input=given,
        capture_output=True,
        cwd=home,
        env={
            "HOME": str(home),
            "PATH": f"{home}/bin:/usr/bin:/bin",
            "SHELL": case.shell,
            **environ,
        },
        timeout=60,
        check=False,
    )
    files = {str(file.relative_to(home)): _sorted(file.read_bytes()) for file in _files(home)}
    return Effect(files, _sorted(done.stdout), _messages(done.stderr, case.shell), done.returncode)


def _files(home: Path) -> Iterator[Path]:
    return (file for file in home.rglob("*") if file.is_file())


def _sorted(data: bytes) -> list[bytes]:
    return sorted(data.splitlines(keepends=True))


def _messages(stderr: bytes, shell: str) -> list[bytes]:
    """Return the lines without what a shell puts in front: its name and a line number."""
    name = os.path.basename(shell).encode()
    prefix = re.compile(rb"^(\S*/)?" + name + rb": (-c: )?(line )?\d+: ")
    return sorted(prefix.sub(b"", line) for line in stderr.splitlines())


def _missing(case: Case, plan: wrap.Plan, effect: Effect, logs: Path) -> str:
    """Return what the report lacks: the output, but for a file within a list."""
    kept = list(logs.iterdir()) if logs.exists() else []  # none of a run without output
    text = b"".join(log.read_bytes() for log in kept)
    for log in kept:
        log.unlink()
    wanted = list(effect.out)
    if plan.command.shape and not plan.command.shape.hides_output:
        wanted += [line for name in ("f", "g") for line in effect.files.get(name, ())]
    for line in wanted:
        # The report has no control characters.
        if line.strip() not in text and line.strip().decode("utf-8", "replace").isprintable():
            return f"{case}: the report lacks {line!r}: {text!r}"
    return ""


# Generated commands

_ARGUMENTS = (
    *("a", "'b c'", '"d  e"', "\\%", "'50\\%'", '"$(echo x y)"', "`echo z`", "*.txt", "~", "$HOME"),
    *(
        "it\\'s",
        "'it'\\''s'",
        '"it\'s"',
        "a\\\\b",
        "'a\\\\b'",
        '"#x"',
        "x#y",
        '"${X:-y}"',
        "$((1+2))",
    ),
)
_REDIRECTS = ("", "", "", " > f", ">f", " 2>&1", " > f 2>&1", " >> in.txt", " 2> g", " </dev/null")


def generated(count: int, seed: int) -> Iterator[bytes]:
    """Yield commands that sh accepts."""
    chosen = random.Random(seed)
    for _ in range(count):
        yield _command(chosen, 2).encode() + _tail(chosen).encode()


def _simple(chosen: random.Random) -> str:
    words = [
        chosen.choice(
            (
                "job",
                "job",
                "echo",
                "CODE=2 job",
                "CODE=$((1+1)) job",
                "printf '%s\\n'".replace("%", "\\%"),
            )
        )
    ]
    words += chosen.choices(_ARGUMENTS, k=chosen.randrange(4))
    return chosen.choice((" ", "  ")).join(words) + chosen.choice(_REDIRECTS)


def _command(chosen: random.Random, depth: int) -> str:
    if depth == 0 or chosen.random() < 0.4:
        return _simple(chosen)
    first, second = _command(chosen, depth - 1), _command(chosen, depth - 1)
    redirect = chosen.choice(_REDIRECTS)
    forms = (
        f"{first} && {second}",
        f"{first}; {second}",
        f"{first} || {second}",
        f"{first} | cat",
        f"( {first}; {second} ){redirect}",
        f"{{ {first}; {second}; }}{redirect}",
        f"if {first}; then {second}; fi{redirect}",
        f"for i in 1 2; do {second}; done{redirect}",
        f"X='q r'; {second}",
        f"cd bin && {second}",
    )
    return chosen.choice(forms)


def _tail(chosen: random.Random) -> str:
    return chosen.choice(
        ("", "", "", "  ", " # isn't a comment for cron", " | cat%one%two\\%", "%in%")
    )


def cases(count: int, seed: int) -> Iterator[Case]:
    """Yield the commands written by hand for each daemon and shell, then `count` generated."""
    commands = [command.encode() for command in HAND_WRITTEN]
    rules: tuple[Dialect, ...] = ("debian", "cronie")
    for number, command in enumerate(commands):
        yield Case(command, rules[number % 2], "/bin/dash")
        yield Case(command, rules[(number + 1) % 2], "/bin/bash")
    yield from (Case(command.encode(), "debian", "/bin/bash") for command in BASH_ONLY)
    for number, command in enumerate(generated(count, seed)):
        yield Case(command, rules[number % 2], ("/bin/dash", "/bin/bash")[number // 2 % 2])


def differences(every: list[Case], workers: int = 3) -> list[str]:
    """Return what differs in the cases."""
    with ApiServer() as api, tempfile.TemporaryDirectory() as folder:

        def share(number: int) -> list[str]:
            own = Path(folder, str(number))
            own.mkdir()
            return [compare(case, api, own) for case in every[number::workers]]

        with ThreadPoolExecutor(workers) as pool:
            found = pool.map(share, range(workers))
            return [text for texts in found for text in texts if text]


def main() -> int:
    """Print what differs; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=300, help="how many lines are generated")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    every = list(cases(options.lines, options.seed))
    found = differences(every)
    print("\n".join(found) or f"{len(every)} lines have the same effect (seed {options.seed})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
