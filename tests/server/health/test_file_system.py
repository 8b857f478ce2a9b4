from __future__ import annotations

from pathlib import Path

import pytest

from skillrouter_mcp.health.file_system import network_file_system


def _proc(tmp_path: Path, *mounts: tuple[str, str]) -> Path:
    lines = [
        f"{n} 1 0:{n} / {point} rw,relatime shared:{n} - {kind} source rw\n"
        for n, (point, kind) in enumerate(mounts)
    ]
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").write_text("".join(lines))
    return tmp_path / "proc"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/skills", ""),
        ("/mnt/team", "nfs4"),
        ("/mnt/team/skills", "nfs4"),
        ("/mnt/teams", ""),
        ("/mnt/team/local/skills", ""),
        ("/media/my disk/skills", "cifs"),
    ],
)
def test_the_nearest_mount_decides(tmp_path: Path, path: str, kind: str) -> None:
    proc = _proc(
        tmp_path,
        ("/", "ext4"),
        ("/mnt/team", "nfs4"),
        ("/mnt/team/local", "xfs"),
        ("/media/my\\040disk", "cifs"),
    )
    assert network_file_system(Path(path), proc) == kind


def test_where_nothing_is_told_nothing_is_known(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "gone") == ""
