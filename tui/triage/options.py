"""What a triage is asked to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.record import Record, field

if TYPE_CHECKING:
    from pathlib import Path


class Options(Record, frozen=True):
    """What a triage is asked to do."""

    model_class: str | None = None
    tokenizer: Path | None = None
    expected: dict[str, Any] = field(default_factory=dict)
    files_only: bool = False
    python: str | None = None
    deep: bool = False
    """Whether every byte of the weights is read."""

    call: Any = None
    """A call of a TensorFlow model that is to be checked against what the model expects."""
