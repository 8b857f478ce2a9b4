"""Which file system a folder lies on, as far as Linux tells."""

from __future__ import annotations

import os
import re
from pathlib import Path

PROC = Path("/proc")

# Those on which another machine's changes and locks are not seen at once.
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|virtiofs|afs|ceph|glusterfs|lustre|fuse\.(?:sshfs|rclone|s3fs|glusterfs|"
    r"gcsfuse|davfs2?|vmhgfs-fuse|gvfsd-fuse)|vboxsf|davfs"
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path, proc: Path = PROC) -> str:
    """The type of the network file system that a path lies on, empty for none or where unknown."""
    try:
        lines = (proc / "self" / "mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    place = os.path.realpath(path)
    longest, kind = "", ""
    for line in lines:
        mount, _, file_system = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) < 5 or not file_system:
            continue
        point = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(longest):
            longest, kind = point, file_system.split(" ")[0]
    return kind if _NETWORK.fullmatch(kind) else ""
