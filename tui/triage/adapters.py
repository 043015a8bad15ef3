"""The base model of an adapter, looked up on this machine: beside it, as its path says, or in the hub cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tui.core.assemble import read_directory
from tui.system.hub_cache import is_repository, snapshot

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint


def base_of(adapter: Checkpoint) -> Checkpoint | None:
    """The base that `adapter_config.json` names, with its headers read; `None` where it is not here."""
    document = adapter.json_files.get("adapter_config.json")
    name = document.mapping.get("base_model_name_or_path") if document is not None else None
    if not isinstance(name, str) or not name or "\0" in name or len(name) > 1024:
        return None
    places = [Path(name)] if Path(name).is_absolute() else [adapter.root / name, adapter.root.parent / Path(name).name]
    for place in places:
        if (place / "config.json").is_file() and place.resolve() != adapter.root.resolve():
            return read_directory(place, str(place))
    found = snapshot(name) if is_repository(name) else None
    return read_directory(found, str(found)) if found is not None else None
