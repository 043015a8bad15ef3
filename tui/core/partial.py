"""Files that a downloader has not finished: by their names, and by what they promise and do not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.core.checkpoint import FileReport

SUFFIXES = (".incomplete", ".part", ".partial", ".crdownload", ".aria2", ".aria2__temp", ".download")
"""hf, curl and yt-dlp, wget2, Chrome, aria2's control file, Safari."""

CONTROL = ".aria2"
"""aria2's own notes beside a file that has its final name and size from the start."""


def is_partial(name: str) -> bool:
    """Whether a downloader's suffix says that the file is not complete."""
    return name.endswith(SUFFIXES)


def final_name(name: str) -> str:
    """The name that the file will have."""
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def promised(report: FileReport) -> int | None:
    """Bytes that the header promises where the file has fewer, `None` where it does not say."""
    ends = [tensor.offset + tensor.nbytes for tensor in report.tensors if tensor.offset is not None]
    needed = max(ends, default=0)
    return needed if needed > report.size else None
