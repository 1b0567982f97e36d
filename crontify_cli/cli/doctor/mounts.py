"""Whether a directory is on a network file system, which other machines may share."""

import os

NETWORK = frozenset(
    [
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.ceph-fuse",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "prl_fs",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
    ]
)
"""File system types as they appear in /proc/mounts."""


def network_type(path: str, mounts: str = "/proc/self/mounts") -> str | None:
    """Return the type of the network file system that holds `path`; None if it is a local one.

    mounts: a file as described in proc(5) and fstab(5).
    """
    wanted = os.path.realpath(path)
    found, longest = "", -1
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        _, point, kind, *_ = [*line.split(" "), "", "", ""]
        point = _unescaped(point)
        is_above = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        if is_above and len(point) >= longest:  # of two on the same point, the later covers
            found, longest = kind, len(point)
    return found if found in NETWORK else None


def _unescaped(text: str) -> str:
    """Return the text without the octal escapes of getmntent(3) for blanks and backslashes."""
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, character)
    return text
