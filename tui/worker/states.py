"""The checkpoint side of a comparison: names, dtypes and shapes as meta tensors, no byte of weight."""

from __future__ import annotations

from typing import Any

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64", "BOOL": "bool",
    "C64": "complex64", "C128": "complex128", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
}  # fmt: skip


class State:
    """One opened checkpoint: tensors by name in the loader's order."""

    def __init__(self, tensors: list[list[Any]], first: int, others: list[str]) -> None:
        """`tensors` are `[name, dtype, shape]`; the first `first` of them lie in the first file."""
        import torch

        self.meta: dict[str, Any] = {}
        alike: dict[Any, Any] = {}
        for name, dtype, shape in tensors:
            form = (dtype, tuple(shape))
            if form not in alike:
                kind = getattr(torch, _DTYPES.get(dtype, "float32"), torch.float32)
                alike[form] = torch.empty(shape, dtype=kind, device="meta")
            self.meta[name] = alike[form]
        self.first = dict(list(self.meta.items())[:first]) if first else self.meta
        for name in others:
            self.meta.setdefault(name, {})
        self._order: list[str] | None = None
        self._forms: dict[str, Any] = {}
        self.renames: dict[Any, list[tuple[str, str, str | None]]] = {}

    def separate(self) -> dict[str, Any]:
        """The tensors as the loader would get them: one object each, where here those of one form are shared."""
        import torch

        return {
            name: torch.empty_like(value) if isinstance(value, torch.Tensor) else value
            for name, value in self.meta.items()
        }

    def ordered(self, key: Any) -> list[str]:
        """Names in the order in which the loader walks them."""
        if self._order is None:
            self._order = sorted(self.meta, key=key)
        return self._order

    def form(self, name: str) -> Any:
        """Shape and dtype of a tensor, hashable and remembered."""
        form = self._forms.get(name)
        if form is None:
            value = self.meta[name]
            form = self._forms[name] = (tuple(value.shape), value.dtype)
        return form

    def shape(self, name: str) -> list[int] | None:
        """A tensor's shape, `None` for an entry that is no tensor."""
        value: Any = self.meta.get(name)
        return list(value.shape) if hasattr(value, "shape") else None
