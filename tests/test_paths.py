"""The places: XDG's rules, as platformdirs implements them."""

import os
from pathlib import Path

import platformdirs.unix
import pytest

from crontify_cli import places


@pytest.mark.parametrize("home", ["set", None, "", "relative"])
@pytest.mark.parametrize("xdg", ["/somewhere/state", None, "", "relative/state"])
def test_the_state_directory_is_where_platformdirs_says(
    home: str | None, xdg: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if home != "set":
        set_or_delete(monkeypatch, "HOME", home)
    set_or_delete(monkeypatch, "XDG_STATE_HOME", xdg)
    assert places.named_state_dir() == platformdirs.user_state_dir("crontify")


def test_the_state_directory_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRONTIFY_STATE_DIR", "/srv/crontify")
    assert places.named_state_dir() == "/srv/crontify"


def test_config_files_are_the_users_then_the_sites(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_DIRS", "/etc/one:/etc/two")
    assert places.config_files() == [
        f"{home}/.config/crontify/config.toml",
        "/etc/one/crontify/config.toml",
        "/etc/two/crontify/config.toml",
    ]


@pytest.mark.parametrize(
    ("environ", "value"),
    [
        ("XDG_CONFIG_HOME", "/a"),
        ("XDG_CONFIG_HOME", ""),
        ("XDG_CONFIG_HOME", "relative"),
        ("XDG_CONFIG_DIRS", "/a:/b"),
        ("XDG_CONFIG_DIRS", "relative:/b"),
        ("XDG_CONFIG_DIRS", ":"),
        ("XDG_CONFIG_DIRS", "  "),
        ("HOME", "/somewhere"),
        ("HOME", ""),
    ],
)
def test_config_files_are_where_platformdirs_says(
    environ: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environ, value)
    folders = platformdirs.unix.Unix("crontify").iter_config_dirs()
    expected = [f"{folder}/config.toml" for folder in folders]
    assert places.config_files() == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that does not exist")
def test_a_user_without_a_home_still_has_the_sites_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    found = tmp_path / "found"
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.owner() == "root" and parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o711)
    child = os.fork()
    if child == 0:
        try:
            os.setuid(54321)
            found.write_text("\n".join(places.config_files()))
            with pytest.raises(OSError, match="HOME"):
                places.user_config_file()
            found.write_text(f"{found.read_text()}, no place of its own")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert found.read_text() == f"{tmp_path}/etc-xdg/crontify/config.toml, no place of its own"


def set_or_delete(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, value)
