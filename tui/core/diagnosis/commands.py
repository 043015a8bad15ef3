"""The command that converts a checkpoint, and the places that it reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.text import shell

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint


def source_of(checkpoint: Checkpoint) -> str:
    """The path that means this checkpoint: a file, one of several prefixes of TensorFlow, or the directory."""
    root, first = checkpoint.root.absolute(), checkpoint.files[0]
    if checkpoint.is_file:
        return str(root / first.name)
    several = first.metadata.get("other_prefixes")
    return str(root / str(first.metadata.get("prefix", first.name))) if several else str(root)


def target_of(checkpoint: Checkpoint) -> str:
    """A directory beside the checkpoint, which a conversion makes."""
    return f"{source_of(checkpoint)}-safetensors"


def convert(checkpoint: Checkpoint) -> str:
    """`ckptriage convert SOURCE TARGET`."""
    return shell("ckptriage", "convert", source_of(checkpoint), target_of(checkpoint))


def recover_config(target: str) -> str:
    """The command that writes the config which the converted weights tell."""
    return shell("ckptriage", "compare", target, "--save-config", f"{target}/config.json")
