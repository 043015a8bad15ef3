"""Inert stand-ins for what a pickle would build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


class Global(msgspec.Struct, frozen=True, gc=False):
    """A name that loading would import."""

    module: str
    name: str

    @property
    def full(self) -> str:
        """`module.name`."""
        return f"{self.module}.{self.name}"


class Blob(msgspec.Struct, frozen=True, gc=False):
    """Bytes that were skipped and not kept."""

    offset: int
    size: int


class Storage(msgspec.Struct, frozen=True, gc=False):
    """A torch storage named by a persistent id."""

    dtype: str
    key: str
    device: str
    numel: int


class TensorValue(msgspec.Struct, frozen=True, gc=False):
    """What a torch rebuild function would return."""

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...] | None
    storage: Storage | None
    offset: int
    """Elements from the start of the storage."""

    note: str = ""
    """`sparse`, `quantized`, `meta`, `nested`; empty for a dense tensor."""


class ArrayValue(msgspec.Struct, frozen=True, gc=False):
    """A numpy array: what it is and where its bytes are."""

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...] | None
    nbytes: int
    place: int | None
    """Offset in the stream, `None` where the bytes were not kept apart."""


@dataclass(eq=False, slots=True)
class Mapping:
    """A dictionary; pairs instead of a dict, since keys may be unhashable or made to collide."""

    pairs: list[tuple[Any, Any]]
    ordered: bool = False
    attributes: Any = None

    def strings(self) -> dict[str, Any]:
        """The pairs whose key is a string, the last of each name."""
        return {key: value for key, value in self.pairs if isinstance(key, str)}


@dataclass(eq=False, slots=True)
class Call:
    """The result of calling something on load, never made."""

    function: Any
    arguments: Any
    state: Any = None
    items: list[Any] | None = None
    pairs: list[tuple[Any, Any]] | None = None
    array: ArrayValue | None = None
    """The numpy array that it is, where it is one."""

    @property
    def name(self) -> str:
        """What is called, as `module.name`."""
        return self.function.full if isinstance(self.function, Global) else "a computed function"


@dataclass(eq=False, slots=True)
class Persistent:
    """A persistent id that is no torch storage."""

    value: Any
