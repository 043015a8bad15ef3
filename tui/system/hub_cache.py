"""The local caches of the Hugging Face hub and of TensorFlow Hub: looked up, never fetched into."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

_REPO = re.compile(r"^(?:[\w.-]+/)?[\w.-]+$", re.ASCII)
_HANDLE = re.compile(r"^https?://(?:www\.)?(?:tfhub\.dev|kaggle\.com|www\.kaggle\.com)/")


def hub_cache() -> Path:
    """Where huggingface_hub keeps repositories (`huggingface_hub/constants.py`)."""
    explicit = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if explicit:
        return Path(explicit)
    home = os.environ.get("HF_HOME")
    if home:
        return Path(home) / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "huggingface" / "hub"


def split_revision(text: str) -> tuple[str, str]:
    """`org/name@revision` in its two parts."""
    name, separator, revision = text.partition("@")
    return name, revision if separator else ""


def is_repository(text: str) -> bool:
    """Whether `text` can be the id of a hub repository."""
    return _REPO.match(split_revision(text)[0]) is not None and not text.startswith((".", "-"))


def snapshot(text: str) -> Path | None:
    """The cached snapshot of a repository id, `None` where there is none."""
    name, revision = split_revision(text)
    root = hub_cache() / f"models--{name.replace('/', '--')}"
    snapshots = root / "snapshots"
    if not snapshots.is_dir():
        return None
    wanted = revision or "main"
    try:
        wanted = (root / "refs" / wanted).read_text("ascii", "replace").strip() or wanted
    except OSError:
        if not revision:
            found = sorted(snapshots.iterdir(), key=lambda path: path.stat().st_mtime)
            return found[-1] if found else None
    place = snapshots / wanted
    return place if place.is_dir() else None


def is_tensorflow_handle(text: str) -> bool:
    """Whether `text` is a TensorFlow Hub or Kaggle URL."""
    return _HANDLE.match(text) is not None


def tensorflow_module(text: str) -> Path | None:
    """The cached module of a TensorFlow Hub URL (`tensorflow_hub/resolver.py`: sha1 of the handle), or `None`."""
    root = os.environ.get("TFHUB_CACHE_DIR") or str(Path(tempfile.gettempdir()) / "tfhub_modules")
    place = Path(root) / hashlib.sha1(text.encode("utf-8", "surrogateescape")).hexdigest()
    return place if place.is_dir() else None
