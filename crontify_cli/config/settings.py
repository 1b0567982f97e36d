"""The data types of the settings, as the rest of the program reads them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from crontify_cli.config.secret import Credential, Secret
from crontify_cli.errors import CrontifyError
from crontify_cli.values import Codes


class MonitorSettings(NamedTuple):
    """The settings of one monitor; None or empty if not set. Durations are in seconds.

    A value from the monitor's section wins over one at the top of the file, but `meta_regex`
    and `redact` hold both, the top's first.
    start: "auto", "always" or "never"; `no_start` sets it, too.
    obstacle: why nothing can be reported for this monitor until its section is corrected.
    """

    id: str
    timeout: float | None = None
    kill_after: float | None = None
    overlap: str = "allow"
    shell: bool = False
    success_codes: Codes | None = None
    min_duration: float | None = None
    tolerate: int | None = None
    output: str | None = None
    start: str | None = None
    no_log: bool | None = None
    meta_regex: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    mask_shapes: bool = True
    obstacle: str = ""


class Settings(NamedTuple):
    """All settings in effect. Durations are in seconds, `keep_log_mb` is in MiB.

    api_key, token: where they come from, None if not configured; `credentials.api_key`
        and `credentials.token` read them.
    base_url: "" if the one that was configured is invalid or cannot be read.
    every_monitor: the settings at the top of the file for all monitors; its id is empty.
    monitors: the settings of each section [monitors.NAME], by NAME.
    """

    api_key: Credential | None
    token: Credential | None
    base_url: str
    allow_http: bool
    connect_timeout: float
    http_timeout: float
    report_timeout: float
    rate_limit_wait: float
    keep_runs: int
    keep_days: int
    keep_log_mb: int
    every_monitor: MonitorSettings
    monitors: Mapping[str, MonitorSettings]
    proxy: Secret | None = None
    ca_bundle: str | None = None
    metrics_file: str | None = None
    headers: Mapping[str, Secret] = MappingProxyType({})
    smtp_url: Secret | None = None
    smtp_from: str | None = None

    def monitor(self, name: str) -> MonitorSettings:
        """Return the settings of a monitor by the name of its section, or by its id."""
        return self.monitors.get(name) or self.every_monitor._replace(id=name)

    def nearest_monitor(self, name: str) -> str | None:
        """Return the name of the section that was probably meant by `name`, None for none."""
        from difflib import get_close_matches

        if name in self.monitors:
            return None
        return next(iter(get_close_matches(name, self.monitors, 1, 0.8)), None)


class Value(NamedTuple):
    """The value of one setting, and where it comes from.

    raw: as it was written; a secret is wrapped in a `Secret`.
    typed: the converted value.
    source: "flag", "env", "systemd", "file" or "default".
    where: the name of the variable or of the file, otherwise "".
    """

    raw: object
    typed: object
    source: str
    where: str = ""


class Loaded(NamedTuple):
    """The result of `load`.

    problems: settings that were ignored because they are wrong; each is one line that
        names the file and the full key path.
    obstacles: those of them because of which nothing must be sent until they are corrected:
        a report could go to the wrong place, or reveal what should be masked. Obstacles of
        one monitor only are in its `MonitorSettings`.
    warnings: settings that work but should be corrected, one line each.
    files: the config files that were read, or could not be read; later ones win.
    values: every value by its full key path (`base_url`, `monitors.backup.timeout`).
    """

    settings: Settings
    problems: tuple[str, ...]
    obstacles: tuple[str, ...]
    warnings: tuple[str, ...]
    files: tuple[str, ...]
    values: Mapping[str, Value]

    @property
    def file(self) -> str | None:
        """The first of the files, None if there is none."""
        return next(iter(self.files), None)


def require(loaded: Loaded) -> Settings:
    """Return the settings; raises CrontifyError with a line for each problem."""
    if loaded.problems:
        raise CrontifyError("\ncrontify: ".join(loaded.problems))
    return loaded.settings
