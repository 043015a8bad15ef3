"""What files alone tell of a checkpoint: the part of its evidence for which no other process is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.diagnosis.evidence import Evidence
from tui.core.estimate import estimate, has_room

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import Checkpoint
    from tui.core.estimate import Available
    from tui.triage.options import Options

_LARGE = 2_000
"""Tensors of a checkpoint whose estimate takes longer than a screen may wait."""


def from_files(checkpoint: Checkpoint, options: Options, machine: Available, *, weighed: bool = True) -> Evidence:
    """The checkpoint, what lies beside it, and what loading it would take of this machine.

    Without `weighed` the estimate is left out where there is room beyond doubt.
    """
    return Evidence(
        checkpoint=checkpoint,
        base=_base(checkpoint) if checkpoint.kind == "adapter" else None,
        tokenizer=_tokenizer(options.tokenizer) if options.tokenizer is not None else None,
        available=machine,
        estimate=estimate(checkpoint, machine) if weighed or not has_room(checkpoint, machine) else None,
        expected=options.expected,
        call=options.call,
    )


def takes_long(checkpoint: Checkpoint, options: Options) -> bool:
    """Whether `from_files` is too long for a screen to wait: it reads other files, or sums up many tensors."""
    return options.tokenizer is not None or checkpoint.kind == "adapter" or len(checkpoint.tensors) >= _LARGE


def _base(adapter: Checkpoint) -> Checkpoint | None:
    """The model that an adapter changes."""
    from tui.triage.adapters import base_of

    return base_of(adapter)


def _tokenizer(path: Path) -> Checkpoint | None:
    """The checkpoint whose tokenizer is to be judged instead."""
    from tui.core.assemble import read_directory

    return read_directory(path, str(path)) if path.is_dir() else None
