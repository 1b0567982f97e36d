"""What to type instead of a command that was not found, because only a shell understands it."""

_BUILTINS = (
    *(".", ":", "alias", "bg", "cd", "eval", "exec", "exit", "export", "fg", "for", "hash", "if"),
    *("pushd", "read", "readonly", "set", "shift", "shopt", "source", "trap", "type", "ulimit"),
    *("umask", "unalias", "unset", "until", "wait", "while"),
)
"""Words that a shell itself carries out, and for which there is usually no program."""


def for_missing(command: "list[str]") -> str:
    """Return what to do about a command that was not found; empty if nothing is known."""
    name = command[0]
    variable, equals, _ = name.partition("=")
    if equals and variable.isidentifier():
        if len(command) == 1:
            return "a shell's assignment needs --shell and quotes around the whole command"
        return f"to set a variable, write env {variable}=… in front of the command"
    if len(command) == 1 and any(char in name for char in " \t\n|&;<>()$`*?"):
        return "to run it with a shell, add --shell"
    if name in _BUILTINS:
        return f"{name} is a word of the shell: add --shell, and quote the whole command"
    return ""
