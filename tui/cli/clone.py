"""What `inspect` adds for a directory in a clone with git-lfs."""

from __future__ import annotations

from typing import Any

from tui.core.lfs_clone import LfsClone, commands, object_words, summary
from tui.core.text import printable

_MOST = 1000


def to_json(clone: LfsClone) -> dict[str, Any]:
    """Under `git_lfs` of the contract's object."""
    return {
        "root": str(clone.root),
        "bytes": clone.disk_bytes,
        "store_bytes": clone.store_bytes,
        "unused_bytes": clone.unused_bytes,
        "shared_objects": clone.shared,
        "incomplete": [{"object": name, "bytes": size} for name, size in clone.incomplete],
        "fix": list(commands(clone)),
        "objects": [
            {"oid": item.oid, "bytes": item.bytes, "fetched": item.is_here, "files": list(item.files),
             "pointers": list(item.pointers), "working_tree_bytes": item.in_tree}
            for item in clone.objects
        ],
    }  # fmt: skip


def to_text(clone: LfsClone) -> str:
    """The same for reading, the largest object first."""
    lines = [f"  git-lfs clone {printable(str(clone.root), 240)}: {summary(clone)}"]
    lines += [f"    {object_words(item)}" for item in clone.objects[:_MOST]]
    lines += [f"    fix: {command}" for command in commands(clone)]
    return "\n".join(lines) + "\n"
