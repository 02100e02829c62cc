from __future__ import annotations

from pathlib import Path

import pytest

from featurestore.errors import ConfigurationError
from featurestore.online import files
from featurestore.online.files import file_system_of, path_of, refuse_network

MOUNTS = r"""overlay / overlay rw,relatime 0 0
proc /proc proc rw 0 0
/dev/vda /work ext4 rw 0 0
server:/export /mnt/nfs nfs4 rw,vers=4.2 0 0
/dev/vdb /mnt/nfs/disk xfs rw 0 0
//server/share /mnt/with\040space cifs rw 0 0
me@host:/ /mnt/ssh fuse.sshfs rw 0 0
/dev/vdc /mnt/twice ext4 rw 0 0
server:/b /mnt/twice nfs rw 0 0
odd
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/work/a/b", "ext4"),
        ("/work", "ext4"),
        ("/workshop/a", "overlay"),
        ("/mnt/nfs/a", "nfs4"),
        ("/mnt/nfs/disk/a", "xfs"),
        ("/mnt/with space/a", "cifs"),
        ("/mnt/ssh/a", "fuse.sshfs"),
        ("/mnt/twice/a", "nfs"),
        ("/nowhere", "overlay"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_deepest_and_last_mount(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


def test_nothing_is_known_where_nothing_is_mounted() -> None:
    assert file_system_of(Path("/a"), "") == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.s3fs"])
def test_a_file_system_that_machines_share_is_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "file_system_of", lambda _path, _mounts: kind)
    with pytest.raises(ConfigurationError, match=r"cannot be at .*online\.lmdb") as caught:
        refuse_network(tmp_path / "online.lmdb")
    assert kind in str(caught.value)
    assert "redis" in str(caught.value)


@pytest.mark.parametrize("kind", ["", "ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "apfs", "fuse.ntfs-3g"])
def test_a_file_system_of_this_machine_is_fine(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "file_system_of", lambda _path, _mounts: kind)
    refuse_network(tmp_path / "online.lmdb")


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for wrong in (1, None, "", ["a"]):
        with pytest.raises(ConfigurationError, match=r"online_store\.path cannot be used"):
            path_of({"path": wrong}, tmp_path, "data/online.lmdb")
