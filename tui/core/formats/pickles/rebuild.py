"""torch's rebuild functions, played out on records: shapes, dtypes, strides and storages without any bytes.

Mirrors `torch/_utils.py` and `torch/serialization.py` 2.13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.formats.pickles.arrays import element, from_buffer
from tui.core.formats.pickles.values import Blob, Call, Global, Mapping, Storage, TensorValue
from tui.core.tensors import TORCH_DTYPES, TORCH_STORAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.formats.pickles.trace import Trace

_INTEGERS = frozenset({int})
_ENCODINGS = frozenset({"latin1", "latin-1", "ascii", "utf-8", "utf8"})


def storage_of(identity: Any) -> Storage | None:
    """A torch storage from its persistent id `("storage", type, key, location, numel[, view])`."""
    if not (isinstance(identity, tuple) and len(identity) >= 5 and identity[0] in ("storage", b"storage")):
        return None
    kind, key, device, numel = identity[1:5]
    name = kind.name if isinstance(kind, Global) else ""
    return Storage(
        TORCH_STORAGE.get(name, name or "unknown"), str(key), str(device), numel if isinstance(numel, int) else -1
    )


def rebuild(full: str, arguments: Any, trace: Trace) -> Any:
    """The record that calling `full` gives, or `None` where it is no function known here."""
    if not isinstance(arguments, tuple):
        return None
    if full.startswith(("torch._utils._rebuild_", "torch._tensor._rebuild_")):
        function = _REBUILD.get(full.rpartition(".")[2])
        try:
            return function(arguments, trace) if function is not None else None
        except (IndexError, TypeError, AttributeError):
            trace.flag("suspicious", f"{full} is called with arguments it does not take")
            trace.refuse(f"{full}() got arguments that it does not take")
            return None
    plain = _PLAIN.get(full)
    return plain(arguments, trace) if plain is not None else None


def _sizes(value: Any) -> tuple[int, ...]:
    """A shape or stride; anything else raises TypeError."""
    if isinstance(value, Call) and isinstance(value.arguments, tuple):
        value = value.arguments[0]
    if isinstance(value, tuple | list) and _INTEGERS.issuperset(map(type, value)):
        return tuple(value)
    raise TypeError("not a shape")


def _dense(arguments: tuple[Any, ...], trace: Trace) -> TensorValue:
    storage, offset, shape, stride = arguments[:4]
    if not isinstance(storage, Storage):
        raise TypeError("not a storage")
    return TensorValue(storage.dtype, _sizes(shape), _sizes(stride), storage, int(offset))


def _typed(arguments: tuple[Any, ...], trace: Trace) -> TensorValue:
    dense = _dense(arguments, trace)
    return TensorValue(_dtype(arguments[6]), dense.shape, dense.stride, dense.storage, dense.offset)


def _dtype(value: Any) -> str:
    """The dtype's name here from the global `torch.float32`."""
    return TORCH_DTYPES.get(value.name, value.name) if isinstance(value, Global) else "unknown"


def _quantized(arguments: tuple[Any, ...], trace: Trace) -> TensorValue:
    dense = _dense(arguments, trace)
    return TensorValue(dense.dtype, dense.shape, dense.stride, dense.storage, dense.offset, "quantized")


def _inner(arguments: tuple[Any, ...], trace: Trace) -> Any:
    """A parameter is its data."""
    return arguments[0]


def _sparse(arguments: tuple[Any, ...], trace: Trace) -> TensorValue:
    data = arguments[1]
    values = next((item for item in reversed(data) if isinstance(item, TensorValue)), None)
    shapes = [item for item in data if not isinstance(item, TensorValue | bool)]
    shape = _sizes(shapes[0]) if shapes else ()
    return TensorValue(values.dtype if values else "unknown", shape, None, None, 0, "sparse")


def _meta(arguments: tuple[Any, ...], trace: Trace) -> TensorValue:
    return TensorValue(_dtype(arguments[0]), _sizes(arguments[1]), _sizes(arguments[2]), None, 0, "meta")


def _nested(arguments: tuple[Any, ...], trace: Trace) -> Any:
    buffer = arguments[0]
    return TensorValue(buffer.dtype, buffer.shape, buffer.stride, buffer.storage, buffer.offset, "nested")


def _subclass(arguments: tuple[Any, ...], trace: Trace) -> TensorValue:
    return TensorValue(_dtype(arguments[1]), _sizes(arguments[2]), _sizes(arguments[3]), None, 0, "subclass")


def _from_type(arguments: tuple[Any, ...], trace: Trace) -> Any:
    function, _, inner = arguments[:3]
    if isinstance(function, Global):
        value = rebuild(function.full, inner, trace)
        if value is not None:
            return value
    return Call(function, inner)


def _converted(arguments: tuple[Any, ...], trace: Trace) -> Any:
    data = arguments[0]
    if isinstance(data, TensorValue):
        return TensorValue(_dtype(arguments[1]), data.shape, data.stride, data.storage, data.offset)
    return None


_REBUILD: dict[str, Callable[[tuple[Any, ...], Trace], Any]] = {
    "_rebuild_tensor": _dense,
    "_rebuild_tensor_v2": _dense,
    "_rebuild_tensor_v3": _typed,
    "_rebuild_parameter": _inner,
    "_rebuild_parameter_with_state": _inner,
    "_rebuild_qtensor": _quantized,
    "_rebuild_sparse_tensor": _sparse,
    "_rebuild_meta_tensor_no_storage": _meta,
    "_rebuild_nested_tensor": _nested,
    "_rebuild_wrapper_subclass": _subclass,
    "_rebuild_from_type_v2": _from_type,
    "_rebuild_device_tensor_from_cpu_tensor": _converted,
    "_rebuild_device_tensor_from_numpy": _converted,
}


def _ordered_dict(arguments: tuple[Any, ...], trace: Trace) -> Any:
    if not arguments:
        return Mapping([], ordered=True)
    pairs = arguments[0]
    if isinstance(pairs, Mapping):
        return Mapping(list(pairs.pairs), ordered=True)
    if isinstance(pairs, list) and all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        return Mapping([(pair[0], pair[1]) for pair in pairs], ordered=True)
    trace.flag("suspicious", "collections.OrderedDict is called with something that is no list of pairs")
    return None


def _plain_dict(arguments: tuple[Any, ...], trace: Trace) -> Any:
    return Mapping([]) if not arguments else None


def _size(arguments: tuple[Any, ...], trace: Trace) -> Any:
    return tuple(arguments[0]) if len(arguments) == 1 and isinstance(arguments[0], tuple | list) else None


def _device(arguments: tuple[Any, ...], trace: Trace) -> Any:
    return ":".join(str(part) for part in arguments)


def _encode(arguments: tuple[Any, ...], trace: Trace) -> Any:
    if len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] in _ENCODINGS:
        return arguments[0].encode("latin-1", "replace")
    if arguments and isinstance(arguments[0], Blob):
        return arguments[0]
    trace.flag("suspicious", "_codecs.encode is called with an encoding that changes text")
    return None


def _scalar(arguments: tuple[Any, ...], trace: Trace) -> Any:
    """`numpy._core.multiarray.scalar(dtype, data)`: the data of a number or text, never an object."""
    known = element(arguments[0]) if len(arguments) == 2 else None
    if known is None or known[1] is None or not isinstance(arguments[1], bytes | str | Blob):
        trace.flag("suspicious", "a numpy scalar is made of something else than the bytes of a number")
    return None


def _parameter(arguments: tuple[Any, ...], trace: Trace) -> Any:
    return arguments[0] if arguments and isinstance(arguments[0], TensorValue) else None


def _collection(arguments: tuple[Any, ...], trace: Trace) -> Any:
    if not arguments:
        return []
    return list(arguments[0]) if isinstance(arguments[0], list | tuple) else None


_PLAIN: dict[str, Callable[[tuple[Any, ...], Trace], Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _ordered_dict,
    "collections.defaultdict": lambda arguments, trace: Mapping([]) if len(arguments) <= 1 else None,
    "builtins.dict": _plain_dict,
    "builtins.set": _collection,
    "builtins.frozenset": _collection,
    "builtins.list": _collection,
    "torch.Size": _size,
    "torch.device": _device,
    "_codecs.encode": _encode,
    "torch.nn.parameter.Parameter": _parameter,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": lambda arguments, trace: from_buffer(arguments),
    "numpy._core.numeric._frombuffer": lambda arguments, trace: from_buffer(arguments),
}
