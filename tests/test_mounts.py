"""The doctor finds out whether the state directory is on a network file system."""

from pathlib import Path

import pytest

from crontify_cli.cli.doctor import state
from crontify_cli.cli.doctor.mounts import network_type
from crontify_cli.config import load

MOUNTS = r"""/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local ext4 rw 0 0
me@host:/ /mnt/a\040b\134c fuse.sshfs rw 0 0
//server/share /srv cifs rw 0 0
tmpfs /srv tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", None),
        ("/var/lib", None),
        ("/home", "nfs4"),
        ("/home/me/.local/state", "nfs4"),
        ("/homeless", None),
        ("/home/local/x", None),
        ("/mnt/a b\\c/d", "fuse.sshfs"),
        ("/srv/x", None),
    ],
)
def test_the_deepest_mount_point_says_which_file_system_it_is(
    tmp_path: Path, path: str, kind: str | None
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert network_type(path, str(mounts)) == kind


def test_without_a_list_of_mounts_nothing_is_said(tmp_path: Path) -> None:
    assert network_type("/", str(tmp_path / "none")) is None


def test_the_doctor_warns_of_a_state_directory_on_a_network_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path.resolve()} nfs rw 0 0\n")
    monkeypatch.setattr(state, "network_type", lambda path: network_type(path, str(mounts)))
    checks = list(state.check_state(str(tmp_path / "not yet"), load().settings))
    (warning,) = [each for each in checks if each.result == "warning"]
    assert warning.found.endswith("not yet is on a network file system (nfs)")
    assert "CRONTIFY_STATE_DIR" in (warning.advice or "")
