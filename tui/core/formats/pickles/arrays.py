"""numpy arrays inside pickles: as numpy reduces them, and as joblib writes them, their bytes in the stream itself.

Mirrors `joblib/numpy_pickle.py` 1.6 (`NumpyArrayWrapper.read_array`): right after the BUILD of the wrapper come, where
it has an alignment, one byte with a count and that many of padding, then the raw bytes, or for objects a pickle of its
own. `pickle.load` does not know that and would play the bytes as opcodes, so they are looked at in that light too.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from tui.core.formats.numpy_dtypes import BadHeader, dtype_of
from tui.core.formats.pickles.values import ArrayValue, Blob, Call, Mapping

if TYPE_CHECKING:
    from tui.core.formats.pickles.machine import Machine

WRAPPERS = frozenset(
    {"joblib.numpy_pickle.NumpyArrayWrapper", "sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper"}
)
SIDE_FILES = frozenset(
    f"{package}joblib.{module}.{name}"
    for package in ("", "sklearn.externals.")
    for module in ("numpy_pickle", "numpy_pickle_compat")
    for name in ("NDArrayWrapper", "ZNDArrayWrapper")
)
"""What joblib before 0.10 wrote: the array lies in a file of its own, which the wrapper names."""

_RECONSTRUCT = frozenset({"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"})
MAX_NESTED = 8
_SHADOW_OPCODES = 2_000


def built(machine: Machine, target: Call) -> None:
    """An object got its state: where it is an array, what and where it is."""
    name = target.name
    if name in _RECONSTRUCT:
        target.array = _reconstructed(target.state)
    elif name in WRAPPERS and isinstance(target.state, Mapping):
        _inline(machine, target, target.state.strings())
    if target.array is not None:
        machine.trace.holds = True


def from_buffer(arguments: tuple[Any, ...]) -> ArrayValue | None:
    """`numpy._core.numeric._frombuffer(buffer, dtype, shape, order)`."""
    if len(arguments) != 4:
        return None
    return _array(arguments[1], arguments[2], arguments[3] == "F", _place(arguments[0]))


def _reconstructed(state: Any) -> ArrayValue | None:
    """`ndarray.__setstate__((version, shape, dtype, is_fortran, data))`."""
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        return None
    shape, dtype, fortran, data = state[-4:]
    return _array(dtype, shape, fortran is True, _place(data))


def _place(data: Any) -> int | None:
    return data.offset if isinstance(data, Blob) else None


def _array(dtype: Any, shape: Any, fortran: bool, place: int | None) -> ArrayValue | None:
    """The record, `None` where shape or dtype are none."""
    known = element(dtype)
    if known is None or not _is_shape(shape):
        return None
    name, size = known
    stride = tuple(prod(shape[:index]) for index in range(len(shape))) if fortran and len(shape) > 1 else None
    return ArrayValue(name, tuple(shape), stride, prod(shape) * (size or 0), place)


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) <= 64 and all(type(size) is int and size >= 0 for size in shape)


def element(dtype: Any) -> tuple[str, int | None] | None:
    """Name and bytes of an element from a pickled `numpy.dtype`; `None` bytes for objects."""
    if not isinstance(dtype, Call) or not isinstance(dtype.arguments, tuple) or not dtype.arguments:
        return None
    code, state = dtype.arguments[0], dtype.state
    if isinstance(code, bytes):
        code = code.decode("latin-1")
    if not isinstance(code, str):
        return None
    try:
        name, size = dtype_of(code)
    except BadHeader:
        return None
    holds_objects = code[:1] == "V" and isinstance(state, tuple) and len(state) >= 8 and _flag(state[7])
    return name, None if holds_objects else size


def _flag(flags: Any) -> bool:
    """NPY_ITEM_REFCOUNT: the fields hold objects."""
    return isinstance(flags, int) and flags & 1 == 1


def _inline(machine: Machine, target: Call, fields: dict[str, Any]) -> None:
    """The bytes of a wrapped array, stepped over; an object array's own pickle, walked."""
    known = element(fields.get("dtype"))
    shape = fields.get("shape")
    if known is None or not _is_shape(shape):
        machine.trace.flag("not_verified", "an array of joblib whose type or shape cannot be read")
        return
    if known[1] is None:
        _objects(machine)
        return
    _shadow(machine)
    if isinstance(fields.get("numpy_array_alignment_bytes"), int):
        machine.payload(machine.take(1)[0])
    target.array = _array(fields["dtype"], shape, fields.get("order") == "F", machine.position)
    machine.step_over(prod(shape or ()) * known[1])


def _objects(machine: Machine) -> None:
    """The pickle that an object array is, by a machine of its own."""
    if machine.depth >= MAX_NESTED:
        machine.trace.flag("not_verified", f"pickles nested deeper than {MAX_NESTED}")
        return
    inner = type(machine)(machine.source, machine.position, machine.budget, depth=machine.depth + 1)
    try:
        inner.run()
    finally:
        machine.trace.absorb(inner.trace)
    machine.position = inner.trace.end


def _shadow(machine: Machine) -> None:
    """What `pickle.load`, which knows no inline arrays, would import if it played the bytes of this one."""
    if machine.depth:
        return
    here = machine.position
    shadow = type(machine)(machine.source, here, _SHADOW_OPCODES, depth=MAX_NESTED)
    shadow.stack = [None] * 16
    shadow.run_quietly()
    for found in shadow.trace.globals:
        if found.module.replace(".", "").isidentifier() and found.name.isidentifier():
            machine.trace.flag(
                "suspicious", f"the bytes of an array are opcodes to pickle.load, which import {found.full}"
            )
            machine.trace.note(found)
