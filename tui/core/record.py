"""Frozen values: everything that a scan, a diagnosis or an estimate is made of.

They are msgspec's structs: a class costs a twentieth of a frozen dataclass to define, which the first frame waits for,
and an instance a tenth to make, which a scan does twenty times a checkpoint.
"""

from __future__ import annotations

import msgspec
from msgspec import field
from msgspec.structs import replace

__all__ = ["Record", "field", "replace"]


class Record(msgspec.Struct, frozen=True):
    """A value with named fields, compared by them; `dict=True` where properties are kept once computed."""
