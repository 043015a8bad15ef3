"""From the value a pickle would build to its named tensors, iteratively and within a budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tui.core.formats.pickles.values import ArrayValue, Blob, Call, Global, Mapping, Persistent, Storage, TensorValue
from tui.core.tensors import DTYPE_BITS, Tensor, bytes_of

MAX_NODES = 4_000_000
MAX_DEPTH = 64
_LEAVES = frozenset({int, float, bool, str, bytes, type(None), Blob, Global, Storage})
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")


@dataclass
class Found:
    """Tensors by name, and the shape of the top level."""

    tensors: list[Tensor] = field(default_factory=list)
    top_keys: list[str] = field(default_factory=list)
    containers: list[tuple[str, int]] = field(default_factory=list)
    root: str = ""
    storages: dict[str, Storage] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    """Tensors that reach beyond their storage, or have negative sizes."""

    cut: bool = False
    """Whether the budget ended the walk."""


def find_tensors(
    value: Any,
    file: str,
    *,
    held: bool = True,
    arrays: bool = False,
    prefix: str = "",
    stored: dict[str, TensorValue] | None = None,
) -> Found:
    """Every tensor reachable from `value`, named by the keys that lead to it; numpy arrays where `arrays` is true.

    Where `held` is false the stream made none, and only the value's own form is told.
    `stored` holds tensors that the value only refers to by persistent ids, as torch's tar format does.

    Entries of the dictionary at the top keep their key and have no role; what lies deeper is `nested`, below a key
    that names an optimizer `optimizer`, in a pickled module `module`.
    """
    found = Found()
    if isinstance(value, Mapping):
        found.top_keys = [key_text(key) for key, _ in value.pairs][:100_000]
    elif isinstance(value, Call):
        found.root = value.name
    stack: list[tuple[str, Any, int, str]] = [(prefix, value, 0, "")] if held else []
    seen: set[int] = set()
    nodes = 0
    while stack:
        path, item, depth, role = stack.pop()
        nodes += 1
        if nodes > MAX_NODES:
            found.cut = True
            break
        item, array = _resolved(item, stored)
        if array is not None:
            if arrays:
                found.tensors.append(_array(path, array, file, role))
            continue
        if isinstance(item, TensorValue):
            found.tensors.append(_tensor(path, item, file, role))
            if _is_outside(item):
                found.outside.append(path)
            if item.storage is not None:
                found.storages[item.storage.key] = item.storage
            continue
        if not isinstance(item, Mapping | Call | list | tuple) or depth > MAX_DEPTH:
            continue
        if id(item) in seen:
            continue
        seen.add(id(item))
        stack.extend(
            (_join(path, name), child, depth + 1, _role(role, name, depth, item))
            for name, child in reversed(_children(item))
        )
    found.containers = _count(found.tensors, value)
    return found


def _resolved(item: Any, stored: dict[str, TensorValue] | None) -> tuple[Any, ArrayValue | None]:
    """What a value stands for, and the numpy array that it is, where it is one."""
    if isinstance(item, Persistent) and stored is not None:
        return stored.get(str(item.value), item), None
    return item, item if isinstance(item, ArrayValue) else item.array if isinstance(item, Call) else None


def _is_outside(value: TensorValue) -> bool:
    """Whether torch cannot place the view in its storage (`set_` would have to resize it), or has no such storage."""
    if value.shape and min(value.shape) < 0:
        return True
    storage, strides = value.storage, value.stride
    if storage is not None and storage.numel < 0:
        return True
    if storage is None or strides is None:
        return False
    if len(strides) != len(value.shape):
        return True
    if 0 in value.shape or value.note == "quantized":
        return False
    if value.offset < 0 or (strides and min(strides) < 0):
        return True
    last = value.offset
    for size, step in zip(value.shape, strides, strict=True):
        last += (size - 1) * step
    return last >= storage.numel


def key_text(key: Any) -> str:
    """A dictionary's key in words, bounded: nested tuples may stand for more text than any memory holds."""
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return key[:512].decode("utf-8", "backslashreplace")
    return str(key) if isinstance(key, int | float | None) else f"<{type(key).__name__}>"


def _children(item: Mapping | Call | list[Any] | tuple[Any, ...]) -> list[tuple[str, Any]]:
    """What lies one step below and may hold tensors, with the name of the step; an empty name adds none."""
    if isinstance(item, Mapping):
        return [(key_text(key), child) for key, child in item.pairs if type(child) not in _LEAVES]
    if isinstance(item, Call):
        return [pair for pair in _of_object(item) if type(pair[1]) not in _LEAVES]
    return [(str(index), child) for index, child in enumerate(item) if type(child) not in _LEAVES]


def _of_object(item: Call) -> list[tuple[str, Any]]:
    """Parts of an object: a module's parameters, buffers and children, else its state and arguments."""
    state = item.state
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], Mapping):
        state = state[0]
    if isinstance(state, Mapping):
        fields = state.strings()
        if any(part in fields for part in _MODULE_PARTS):
            parts = [fields[part] for part in _MODULE_PARTS if isinstance(fields.get(part), Mapping)]
            return [(key_text(key), child) for part in parts for key, child in part.pairs]
        children = [(key_text(key), child) for key, child in state.pairs]
    else:
        children = [("", state)] if state is not None else []
    if isinstance(item.arguments, tuple):
        children += [("", argument) for argument in item.arguments]
    children += [("", child) for child in item.items or []]
    return children + [(key_text(key), child) for key, child in item.pairs or []]


def _join(path: str, name: str) -> str:
    if not name:
        return path
    return f"{path}.{name}" if path else name


def _role(role: str, name: str, depth: int, parent: Any) -> str:
    """What the tensors below are."""
    if role == "optimizer":
        return role
    if depth <= 1 and name[:1] in "oOeE" and name.lower().startswith(("optim", "exp_avg")):
        return "optimizer"
    if isinstance(parent, Call):
        return "module"
    return "" if depth == 0 else role or "nested"


def _tensor(path: str, value: TensorValue, file: str, role: str) -> Tensor:
    bits = DTYPE_BITS.get(value.dtype)
    nbytes = bytes_of(value.dtype, value.shape) if bits is not None else 0
    storage = value.storage
    if value.note == "meta":
        nbytes = 0
    return Tensor(
        path or "(tensor)",
        value.dtype,
        value.shape,
        nbytes or 0,
        file,
        value.offset * bits // 8 if bits is not None and value.offset and storage is not None else None,
        storage.key if storage is not None else "",
        value.stride,
        storage.device if storage is not None else "",
        value.note or role,
    )


def _array(path: str, value: ArrayValue, file: str, role: str) -> Tensor:
    return Tensor(
        path or "(array)", value.dtype, value.shape, value.nbytes, file, value.place, "", value.stride, role=role
    )


def _count(tensors: list[Tensor], value: Any) -> list[tuple[str, int]]:
    """Top-level keys below which tensors lie, with how many; plain entries are not listed."""
    if not isinstance(value, Mapping):
        return []
    keys = {key_text(key) for key, child in value.pairs if isinstance(child, Mapping | Call | list | tuple)}
    counts: dict[str, int] = {}
    for tensor in tensors:
        head = tensor.name.partition(".")[0]
        if head in keys:
            counts[head] = counts.get(head, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])
