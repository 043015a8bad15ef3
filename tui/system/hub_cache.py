"""The local caches of the Hugging Face hub and of TensorFlow Hub: looked up, never fetched into."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.core.hub_handles import Handle

_REPO = re.compile(r"^(?:[\w.-]+/)?[\w.-]+$", re.ASCII)


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


def tensorflow_cache() -> Path:
    """Where tensorflow-hub keeps modules (`tensorflow_hub/resolver.py`)."""
    return Path(os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir()) / "tfhub_modules")


def _entry(handle: str) -> Path:
    """A handle's place in the cache: the sha1 of it as it was typed."""
    return tensorflow_cache() / hashlib.sha1(handle.encode("utf-8", "surrogateescape")).hexdigest()


def tensorflow_module(handle: Handle) -> Path | None:
    """The cached module of a handle, from tensorflow-hub's cache or kagglehub's; `None` where there is none."""
    for text in dict.fromkeys((handle.text, handle.url)):
        place = _entry(text)
        if place.is_dir():
            return place
    if handle.framework:
        return _kaggle_model(handle)
    return None


def _kaggle_model(handle: Handle) -> Path | None:
    """A model in kagglehub's cache (`kagglehub/cache.py`): models/OWNER/MODEL/FRAMEWORK/VARIATION/VERSION."""
    home = os.environ.get("KAGGLEHUB_CACHE") or os.path.expanduser("~/.cache/kagglehub")
    place = Path(home) / "models" / handle.publisher / handle.name / handle.framework / handle.variation
    if handle.version is not None:
        exact = place / str(handle.version)
        return exact if exact.is_dir() else None
    try:
        found = [entry for entry in place.iterdir() if entry.name.isdigit() and entry.is_dir()]
    except OSError:
        return None
    return max(found, key=lambda entry: int(entry.name)) if found else None


def stale_lock(handle: Handle) -> Path | None:
    """The lock of a download of this handle: tensorflow-hub waits some twenty minutes for one whose process is gone."""
    for text in dict.fromkeys((handle.text, handle.url)):
        lock = _entry(text).with_suffix(".lock")
        if lock.exists():
            return lock
    return None
