"""Memory to load and to run, from headers and config alone, held against what a machine has.

Two numbers for RAM: what the process must have (anonymous memory: where the kernel kills) and what it wants
(file-backed pages: speed). What is not modelled is `None` with a reason.
"""

from __future__ import annotations

from tui.core.estimate.as_json import to_json
from tui.core.estimate.model import (
    BASE_ANONYMOUS,
    BASE_FILE,
    CHOICES,
    Available,
    Base,
    Device,
    Estimate,
    Holder,
    Part,
    Place,
    Scenario,
)
from tui.core.estimate.room import has_room
from tui.core.estimate.weights import target_dtype
from tui.core.estimate.whole import estimate

__all__ = [
    "BASE_ANONYMOUS",
    "BASE_FILE",
    "CHOICES",
    "Available",
    "Base",
    "Device",
    "Estimate",
    "Holder",
    "Part",
    "Place",
    "Scenario",
    "estimate",
    "has_room",
    "target_dtype",
    "to_json",
]
