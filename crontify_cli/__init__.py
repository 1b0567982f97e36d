"""Crontify's command-line tool: put `crontify exec MONITOR --` in front of a cron job."""

__version__ = "0.1.0"
