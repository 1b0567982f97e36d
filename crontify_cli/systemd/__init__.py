"""Services of systemd: finds their unit files, and puts `crontify exec` before their commands."""
