"""The settings as the rest of the program reads them."""

from collections.abc import Mapping
from typing import NamedTuple

from crontify_cli.config.secret import Credential, Secret
from crontify_cli.errors import CrontifyError
from crontify_cli.values import Codes


class MonitorSettings(NamedTuple):
    """What holds for one monitor; None or empty where nothing was said. Durations are seconds.

    The section's value, or else the one at the top of the file; `meta_regex` and
    `redact` hold the top's and then the section's.
    """

    id: str
    timeout: float | None = None
    kill_after: float | None = None
    success_codes: Codes | None = None
    min_duration: float | None = None
    tolerate: int | None = None
    output: str | None = None
    no_start: bool | None = None
    no_log: bool | None = None
    meta_regex: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()


class Settings(NamedTuple):
    """Every setting, in force. Durations are seconds, `keep_log_mb` MiB.

    api_key, token: where they are to be had, None for nowhere; `credentials.api_key`
        and `credentials.token` go and get them.
    every_monitor: what the top of the file says for all monitors; its id is empty.
    monitors: the sections by their alias.
    """

    api_key: Credential | None
    token: Credential | None
    base_url: str
    allow_http: bool
    proxy: Secret | None
    ca_bundle: str | None
    headers: Mapping[str, Secret]
    connect_timeout: float
    http_timeout: float
    report_timeout: float
    rate_limit_wait: float
    keep_runs: int
    keep_days: int
    keep_log_mb: int
    every_monitor: MonitorSettings
    monitors: Mapping[str, MonitorSettings]

    def monitor(self, name: str) -> MonitorSettings:
        """Return what holds for the monitor that the command line calls `name`, alias or id."""
        return self.monitors.get(name) or self.every_monitor._replace(id=name)


class Value(NamedTuple):
    """One setting that was said somewhere.

    raw: as it was written; secrets hidden in a `Secret`.
    typed: what became of it.
    source: "flag", "env", "systemd", "file" or "default".
    where: the variable's or the file's name, "" for the others.
    """

    raw: object
    typed: object
    source: str
    where: str = ""


class Loaded(NamedTuple):
    """What `load` found.

    problems: what was wrong and left out, each one line that names file and full key path.
    warnings: what is used but should be mended, each one line.
    file: the config file that was read, or that should have been; None where there is none.
    values: what was said, by its full key path (`base_url`, `monitors.backup.timeout`).
    """

    settings: Settings
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    file: str | None
    values: Mapping[str, Value]


def require(loaded: Loaded) -> Settings:
    """Return the settings if nothing is wrong with them.

    Raises CrontifyError that lists every problem, a line each.
    """
    if loaded.problems:
        raise CrontifyError("\ncrontify: ".join(loaded.problems))
    return loaded.settings
