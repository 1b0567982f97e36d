"""Settings: finds, checks and merges them, and reads the API key and the token on demand."""

from crontify_cli.config.credentials import api_key, check_base_url, token, token_at_hand
from crontify_cli.config.load import load
from crontify_cli.config.secret import Secret
from crontify_cli.config.settings import Loaded, MonitorSettings, Settings, require

__all__ = [
    "Loaded",
    "MonitorSettings",
    "Secret",
    "Settings",
    "api_key",
    "check_base_url",
    "load",
    "require",
    "token",
    "token_at_hand",
]
