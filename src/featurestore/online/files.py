"""What stores in a file of this machine share: their options, and where such a file must not lie."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featurestore.errors import ConfigurationError

__all__ = ["file_system_of", "identity_of", "path_of", "refuse_network"]

_NETWORK = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf", "wekafs",
})  # fmt: skip
"""Types of file systems that several machines may share."""

_LOCAL_FUSE = frozenset({"fuse.ext2", "fuse.fuse-overlayfs", "fuse.lxcfs", "fuse.ntfs-3g", "fuse.mergerfs"})
"""File systems in user space that lie on a disk of this machine; of others (sshfs, s3fs, rclone...) most do not."""

_ESCAPE = re.compile(r"\\([0-7]{3})")


def path_of(options: Mapping[str, Any], folder: Path, default: str) -> Path:
    """Return the file that ``path`` names, absolute; relative ones are looked up from ``folder``."""
    value = options.get("path", default)
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise ConfigurationError(
            "online_store.path cannot be used", found=repr(value), expected=f"the path of a file, such as {default}"
        )
    return (folder / Path(value).expanduser()).absolute()


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at a path from every other, also from one that is there later; ``None``: no file."""
    try:
        found = os.stat(path)  # noqa: PTH116  # Before every write; a third of the time that `Path.stat` takes.
    except OSError:
        return None
    return found.st_dev, found.st_ino


def refuse_network(path: Path) -> None:
    """Raise a `ConfigurationError` where a file would lie on a file system that machines share.

    Locks and shared memory do not reach from one machine to another there: two writers would ruin the file unnoticed.
    """
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return  # Only Linux tells; elsewhere the documentation has to.
    kind = file_system_of(path.resolve(), mounts)
    if kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE):
        raise ConfigurationError(
            f"the online store cannot be at {path}",
            found=f"a file system of type {kind}, which is shared over a network",
            expected="a disk of this machine: locks and shared memory do not work across machines",
            fix="choose another path (online_store.path), or a store with a server such as redis or postgresql",
        )


def file_system_of(path: Path, mounts: str) -> str:
    r"""Return the type of the file system on which a path lies; ``""`` where nothing says.

    Args:
        path: absolute, without symbolic links.
        mounts: the text of ``/proc/mounts``.

    Example:
        >>> mounts = "/dev/sda / ext4 rw 0 0\nserver:/a /mnt/our\\040data nfs4 rw 0 0"
        >>> file_system_of(Path("/mnt/our data/online.lmdb"), mounts), file_system_of(Path("/mnt/our"), mounts)
        ('nfs4', 'ext4')
    """
    found, depth = "", 0
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[1]))
        # Of several at one place the last is on top.
        if len(place.parts) >= depth and path.is_relative_to(place):
            found, depth = fields[2], len(place.parts)
    return found
