"""A real shell on a real terminal: keys go in, and what a person would see comes out.

tmux is the terminal. Whether a completion is done is never guessed from the clock: the
shells read key by key, so what is typed after a TAB comes after all that the TAB does.
"""

import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.programs import PROGRAM
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("bash", "zsh", "fish")
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"
PROMPT = "ready> "
SCREEN = ("capture-pane", "-p")
CURSOR_ROW = ("display-message", "-p", "#{cursor_y}")
PLACES = {
    "bash": ("bash-completion/completions/crontify", "crontify.bash"),
    "zsh": ("zsh/site-functions/_crontify", "_crontify"),
    "fish": ("fish/vendor_completions.d/crontify.fish", "crontify.fish"),
}
"""For each shell: where below `share` it looks for a command's completion, and ours."""

_BASH = """\
PS1='{prompt}' HISTFILE=
bind 'set bell-style none' 2>/dev/null
bind 'set show-all-if-ambiguous on' 2>/dev/null
"""
_ZSH = """\
PROMPT='{prompt}' PROMPT_EOL_MARK= HISTFILE=
unsetopt beep list_ambiguous
setopt extended_glob
fpath=({share}/zsh/site-functions $fpath)
autoload -Uz compinit
compinit -u -D
"""
_FISH = """\
function fish_prompt; printf '{prompt}'; end
set -g fish_greeting
set -g fish_autosuggestion_enabled 0
set -g fish_history ''
"""

# Records its words and does nothing, but for a TAB's question, which it passes on.
_STUB = """\
#!/bin/sh
if [ "$1" = __complete ]; then
    echo "$*" >> {folder}/asked
    exec {program} "$@"
fi
for word; do printf '%s\\0' "$word"; done > {folder}/part
mv {folder}/part {folder}/words
"""


class Terminal:
    """A shell in `folder`, where `crontify` is a program that records its words."""

    def __init__(
        self,
        shell: str,
        folder: Path,
        more: str = "",
        *,
        installed: bool = True,
        prefix: Path | None = None,
    ) -> None:
        """Prepare it, with `more` lines in its rc file.

        installed: our completion is where the shell looks for it by itself, and so is
        bash-completion; else `more` has to bring what is needed.
        prefix: a real installation, whose program and completions are used instead.
        """
        self.shell, self.folder, self._prefix = shell, folder, prefix
        self.home, self.cwd, self.bin = (folder / name for name in ("home", "cwd", "bin"))
        for each in (self.home, self.cwd, self.bin, folder / "share"):
            each.mkdir(parents=True)
        # fish would run Python over the machine's man pages, once for each home.
        (self.home / ".local/share/fish/generated_completions").mkdir(parents=True)
        program = shlex.join(PROGRAM)
        self.executable("crontify", _STUB.format(folder=shlex.quote(str(folder)), program=program))
        self._is_begun = False
        self._tmux = ("tmux", "-S", str(folder / "tmux"), "-f", "/dev/null")
        self._prepare(more, installed=installed)

    def start(self) -> None:
        """Start it and return when it waits for a line."""
        environ = self._environ()
        self._run("new-session", "-d", "-x", "120", "-y", "60", self.shell, "-i", env=environ)
        try:
            self._until(self._is_idle, f"{self.shell} is ready")
        except AssertionError:
            self.close()
            raise

    def close(self) -> None:
        """End the shell and its terminal."""
        self._run("kill-server")

    def executable(self, name: str, script: str) -> None:
        """Put a program first on the PATH."""
        file = self.bin / name
        file.write_text(script)
        file.chmod(0o755)

    def type(self, keys: str) -> None:
        """Press keys, in which a tab is the TAB key and a carriage return is Enter."""
        self._run("send-keys", "-H", *(f"{byte:x}" for byte in keys.encode()))

    def screen(self) -> str:
        """Return what can be seen."""
        return self._run(*SCREEN)

    def words(self, text: str) -> list[str]:
        """Return the words that `crontify` gets when `text` is typed, and then Enter."""
        words = self.folder / "words"
        words.unlink(missing_ok=True)
        self._settle()
        self._is_begun = True
        self.type(f"{text}\r")
        self._until(words.exists, "crontify has run")
        self._is_begun = False
        return words.read_text().split("\0")[:-1]

    def listed(self, text: str, *expected: str) -> str:
        """Return what is below the line when `text` is typed and all of `expected` is there."""
        self._settle()
        self.type("\f")  # Ctrl-L
        self._until(lambda: self.screen().strip() == PROMPT.strip(), "an empty screen")
        self.type(text)
        self._is_begun = True

        def below() -> str:
            return self.screen().partition(PROMPT)[2].partition("\n")[2]

        def is_listed() -> bool:
            # A list is complete when the cursor is back on the line that is being typed.
            row, _, shown = self._run(*CURSOR_ROW, ";", *SCREEN).partition("\n")
            is_back = shown.splitlines()[int(row)].startswith(PROMPT.strip())
            return is_back and all(each in below() for each in expected)

        self._until(is_listed, f"{expected} are listed")
        return below()

    def _settle(self) -> None:
        """Wait for the line to be typed; leave the one that was begun, if any."""
        if self._is_begun:
            self.type("\x03")
            self._is_begun = False
        # A key that comes with an interrupt may be lost, so the next one comes later.
        self._until(self._is_idle, "a new line")

    def _until(self, true: Callable[[], bool], what: str) -> None:
        """Wait for it; where that is in vain, say what can be seen instead."""
        try:
            until(true, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def _is_idle(self) -> bool:
        return self.screen().rstrip().rpartition("\n")[2].strip() == PROMPT.strip()

    def _prepare(self, more: str, *, installed: bool) -> None:
        place, ours = PLACES[self.shell]
        link = self.folder / "share" / place
        link.parent.mkdir(parents=True)
        if installed and not self._prefix:
            link.symlink_to(ROOT / "completions" / ours)
        rc = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}[self.shell]
        text = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[self.shell]
        if self.shell == "bash" and installed:
            text += f". {BASH_COMPLETION}\n"
        text = text.format(prompt=PROMPT, share=(self._prefix or self.folder) / "share") + more
        file = self.home / rc
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def _environ(self) -> Mapping[str, str]:
        place = self._prefix or self.folder
        share = f"{place / 'share'}:/usr/local/share:/usr/share"
        return {
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "HOME": str(self.home),
            "PATH": f"{place / 'bin'}:{self.bin}:/usr/local/bin:/usr/bin:/bin",
            "XDG_DATA_DIRS": share,
            "PWD": str(self.cwd),
            "SHELL": "/bin/sh",
            "TERM": "screen",
        }

    def _run(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            [*self._tmux, *words],
            capture_output=True,
            text=True,
            check=words != ("kill-server",),
            cwd=self.cwd,
            env=env,
            timeout=60,
        )
        return done.stdout
