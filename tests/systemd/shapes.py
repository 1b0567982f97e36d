"""Service units of every shape that a wrapper has to leave as they are, but for the wrapper."""

import itertools

_COMMANDS = {
    "plain": "/bin/echo a b",
    "quotes": '/bin/echo "a b" \'c d\' e"f g"h',
    "escapes": r"/bin/echo a\x20b \t c\\d \"e",
    "specifiers": "/bin/echo %n %%h %H /x/%j",
    "variables": "/bin/echo $HOME ${PATH} $$HOME a${X}b",
    "shell": "/bin/sh -c 'for i in 1 2; do echo \"$$i\"; done; exit 0'",
    "continued": "/bin/echo a \\\n  b \\\n# a comment between\n; and another\n  c",
    "semicolon": "/bin/echo a ; /bin/echo b",
    "escaped semicolon": r"/bin/echo a \; /bin/echo b",
    "dash dash": "/bin/echo -- --timeout 5 -v",
    "no arguments": "/bin/true",
    "bare name": "true",
    "quoted program": '"/bin/echo" a',
    "percent in program": "%h/job a",
    "unicode": "/bin/echo grüße 日本",
    "long": "/bin/echo " + "x" * 3000,
}
_PREFIXES = {
    "ignores failure": "-/bin/echo a",
    "argv0": "@/bin/sh mysh -c 'exit 0'",
    "argv0 with a dash": "@/bin/sh -sh -c 'exit 0'",
    "argv0 in quotes": "@/bin/sh \"my sh\" -c 'exit 0'",
    "no variables": ":/bin/echo $HOME ${X}",
    "full privileges": "+/bin/echo a",
    "privileged": "!/bin/echo a",
    "ambient": "!!/bin/echo a",
    "several": "-@:/bin/sh mysh -c 'exit 0'",
    "in a quote": '"-/bin/echo" a',
    "before a quote": '-"/bin/echo" a',
}
_SETTINGS = {
    "user": "User=nobody\nGroup=nogroup",
    "dynamic user": "DynamicUser=yes\nStateDirectory=mine",
    "protected": "ProtectSystem=strict\nProtectHome=read-only\nPrivateDevices=yes",
    "offline": "PrivateNetwork=yes",
    "addresses": "RestrictAddressFamilies=AF_UNIX",
    "environment": "Environment=\"A=b c\" 'D=e'\nEnvironmentFile=-/etc/default/none",
    "pre and post": "ExecStartPre=/bin/true\nExecStartPost=-/bin/false\nExecStopPost=/bin/true",
    "condition": "ExecCondition=/bin/true",
    "statuses": "SuccessExitStatus=3 24 TEMPFAIL\nSuccessExitStatus=75",
    "statuses cleared": "SuccessExitStatus=9\nSuccessExitStatus=\nSuccessExitStatus=4",
    "remains": "RemainAfterExit=yes",
    "restarts": "Restart=on-failure\nRestartSec=5",
    "limits": "TimeoutStartSec=1h\nNice=19\nIOSchedulingClass=idle\nMemoryMax=1G",
    "credential": "LoadCredential=mine:/etc/hostname",
    "killed alone": "KillMode=process",
    "streams": "StandardInput=null\nStandardOutput=journal\nStandardError=inherit",
    "directory": "WorkingDirectory=/tmp",
    "comments": "# a comment\n; another\n\n  Nice = 5  ",
    "reset": "ExecStart=/bin/never\nExecStart=",
    "search path": "ExecSearchPath=/usr/bin:/bin",
}
REFUSED = {
    "simple": ("Type=simple\nExecStart=/bin/true", "Type=simple"),
    "no type": ("ExecStart=/bin/true", "Type=simple"),
    "notify": ("Type=notify\nExecStart=/bin/true", "Type=notify"),
    "forking": ("Type=forking\nExecStart=/bin/true", "Type=forking"),
    "no command": ("Type=oneshot\nExecStop=/bin/true", "no ExecStart="),
    "cleared": ("Type=oneshot\nExecStart=/bin/true\nExecStart=", "no ExecStart="),
    "crontify": ("Type=oneshot\nExecStart=/usr/bin/crontify exec a -- b", "crontify already"),
    "root": ("Type=oneshot\nRootDirectory=/srv\nExecStart=/bin/true", "root directory"),
    "watchdog": ("Type=oneshot\nWatchdogSec=5\nExecStart=/bin/true", "first process"),
    "notifies": ("Type=oneshot\nNotifyAccess=main\nExecStart=/bin/true", "first process"),
    "socket": ("Type=oneshot\nStandardInput=socket\nExecStart=/bin/true", "sockets"),
    "signal": ("Type=oneshot\nSuccessExitStatus=SIGTERM\nExecStart=/bin/true", "signal"),
    "abort": ("Type=oneshot\nRestart=on-abort\nExecStart=/bin/true", "Restart=on-abort"),
    "dollar": ("Type=oneshot\nExecStart=/bin/$x", "$"),
    "path": ("Type=oneshot\nEnvironment=PATH=/x\nExecStart=true", "absolute path"),
    "no name": ("Type=oneshot\nExecStart=@/bin/sh '' -c true", "no name"),
    "status": ("Type=oneshot\nSuccessExitStatus=NONESUCH\nExecStart=/bin/true", "NONESUCH"),
    "open quote": ("Type=oneshot\nExecStart=/bin/echo 'a", "quote"),
}
"""Units that are left as they are, each with a part of the reason."""


def _unit(body: str) -> str:
    return f"[Unit]\nDescription=a job\n\n[Service]\nType=oneshot\n{body}\n"


def _all() -> dict[str, str]:
    simple = {name: f"ExecStart={line}" for name, line in {**_COMMANDS, **_PREFIXES}.items()}
    with_settings = {
        name: f"{settings}\nExecStart=/bin/echo 'a b' %n" for name, settings in _SETTINGS.items()
    }
    several = {
        f"{a} and {b}": f"ExecStart={_COMMANDS[a]}\nExecStart={_COMMANDS[b]}"
        for a, b in itertools.pairwise(("plain", "quotes", "semicolon", "continued", "variables"))
    }
    return {name: _unit(body) for name, body in {**simple, **with_settings, **several}.items()}


WRAPPED = _all()
"""Units that are wrapped, by a description."""
TEMPLATES = {
    "template": _unit("ExecStart=/bin/echo %i %I"),
    "template with argv0": _unit("ExecStart=@/bin/sh sh-%i -c 'exit 0'"),
    "template with settings": _unit('User=nobody\nExecStart=-/bin/echo "%i" ; /bin/true'),
    "template with a state": _unit("DynamicUser=yes\nExecStart=/bin/echo %i"),
}
