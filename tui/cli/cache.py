"""What `inspect` prints of a Hugging Face cache, or of one repository in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.text import bytes_size, count_of, listing, printable
from tui.system.cache_tree import Repository, blob_words, repositories

if TYPE_CHECKING:
    from pathlib import Path


def cached(place: Path) -> list[Repository]:
    """The repositories in a cache directory, or the one whose directory it is; empty where it is neither."""
    if not place.is_dir():
        return []
    root = place.absolute()
    if (root / "blobs").is_dir() and "--" in root.name:
        return [item for item in repositories(root.parent) if item.root == root]
    return list(repositories(root))


def to_json(path: str, found: list[Repository]) -> dict[str, Any]:
    """The contract's object of `inspect`, with `repositories` added."""
    return {
        "schema": 1,
        "path": path,
        "kind": "unknown",
        "files": [],
        "metadata": {},
        "tensors": [],
        "problems": [
            {"file": f"{item.root.name}/snapshots/{revision.commit}/{name}", "rule": "hub-dangling-symlink",
             "message": "is a link to a blob that is not here", "offset": None}
            for item in found for revision in item.revisions for name in revision.dangling
        ],
        "repositories": [_repository(item) for item in found],
    }  # fmt: skip


def _repository(item: Repository) -> dict[str, Any]:
    return {
        "name": item.name,
        "kind": item.kind,
        "bytes": item.bytes,
        "blobs": item.blobs,
        "shared_blobs": item.shared,
        "unused_bytes": item.unused_bytes,
        "incomplete": [{"blob": name, "bytes": size} for name, size in item.incomplete],
        "lost_refs": list(item.lost_refs),
        "stored": [
            {"blob": blob.name, "bytes": blob.bytes, "files": list(blob.files), "revisions": blob.revisions}
            for blob in item.stored
        ],
        "revisions": [
            {"commit": revision.commit, "refs": list(revision.refs), "files": revision.files, "bytes": revision.bytes,
             "dangling": list(revision.dangling)}
            for revision in item.revisions
        ],
    }  # fmt: skip


_MOST = 1000
"""Blobs that are listed of one repository; of several repositories the three largest of each."""


def to_text(path: str, found: list[Repository]) -> str:
    """The same for reading, largest repository first."""
    total = bytes_size(sum(item.bytes for item in found))
    lines = [f"{printable(path, 240)}  {count_of(len(found), 'repository', 'repositories')}, {total}"]
    for item in sorted(found, key=lambda item: -item.bytes):
        notes = [count_of(item.blobs, "blob")]
        if item.shared:
            notes.append(f"{item.shared:,} in several revisions")
        if item.unused_bytes:
            notes.append(f"{bytes_size(item.unused_bytes)} of no use to any revision")
        if item.incomplete:
            notes.append(f"{count_of(len(item.incomplete), 'download')} not ended")
        if item.lost_refs:
            notes.append(f"refs to revisions that are gone: {listing(item.lost_refs)}")
        lines.append(f"  {bytes_size(item.bytes):>10}  {item.kind} {printable(item.name, 120)}: {', '.join(notes)}")
        for revision in item.revisions:
            named = f" ({listing(revision.refs)})" if revision.refs else ""
            size = f"{count_of(revision.files, 'file')}, {bytes_size(revision.bytes)}"
            lines.append(f"              {printable(revision.commit, 44)}{named}: {size}")
            if revision.dangling:
                lines.append(f"              ✗ blobs are gone: {listing(revision.dangling, 6)}")
        lines += [f"              {blob_words(blob)}" for blob in item.stored[: _MOST if len(found) == 1 else 3]]
    return "\n".join(lines) + "\n"
