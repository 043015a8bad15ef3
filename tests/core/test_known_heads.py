"""What readers recognise by its bytes is what they read item by item: the same report in the same words."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import tables
from tests.builders.tables import field, varint
from tests.fuzz.mutate import in_place, mutated
from tui.core.formats import flax, onnx, onnx_tensors, onnx_wire, read_file
from tui.core.formats.tensorflow import entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tui.core.checkpoint import FileReport

COUNT = 80
NOTHING = re.compile(b"(?!)")


def _tensor(name: str, *shape: int, kind: int = 1, size: int = 4) -> bytes:
    count = size
    for length in shape:
        count *= length
    dims = b"".join(field(1, length) for length in shape)
    return field(5, dims + field(2, kind) + field(8, name.encode()) + field(9, bytes(count)))


def _onnx() -> bytes:
    """Tensors over several windows; among them a graph with the same names, long names, one that is too large."""
    plain = b"".join(_tensor(f"layers.{number}.w", number % 5, number % 3 + 1) for number in range(500))
    odd = _tensor("s") + _tensor("n" * 200, 2) + _tensor("", 3, kind=10, size=2) + _tensor("big", 3000)
    external = field(5, field(1, 4) + field(2, 1) + field(8, b"e") + field(13, field(1, b"location") + field(2, b"w")))
    inner = field(1, field(3, b"if") + field(5, field(1, b"then") + field(6, _tensor("s") + _tensor("t", 2))))
    wrong = field(5, field(1, 2) + field(2, 1) + field(8, b"wrong") + field(9, bytes(7)))
    return (
        field(1, 8) + field(7, plain + odd + external + inner + wrong + _tensor("last", 2, 2)) + field(8, b"\x10\x11")
    )


def _array(*shape: int, dtype: bytes = b"float32", size: int = 4) -> bytes:
    count = size
    for length in shape:
        count *= length
    sizes = b"".join(b"\xcd" + length.to_bytes(2, "big") if length > 127 else bytes([length]) for length in shape)
    body = b"\x93" + bytes([0x90 + len(shape)]) + sizes + bytes([0xA0 + len(dtype)]) + dtype
    body += b"\xc5" + count.to_bytes(2, "big") + bytes(count)
    return b"\xc8" + len(body).to_bytes(2, "big") + b"\x01" + body


def _key(text: str) -> bytes:
    data = text.encode()
    return (bytes([0xA0 + len(data)]) if len(data) < 32 else b"\xd9" + bytes([len(data)])) + data


def _map(items: dict[str, bytes]) -> bytes:
    return b"\xde" + len(items).to_bytes(2, "big") + b"".join(_key(key) + value for key, value in items.items())


def _flax() -> bytes:
    layers = {f"layer{number}": _map({"kernel": _array(number % 7, 4), "bias": _array(4)}) for number in range(150)}
    others = {"a" * 40: _array(300), "step": b"\xcd\x01\x02", "half": _array(3, dtype=b"float16", size=2), "n": b"\xc0"}
    listed = {"list": b"\x92" + _array(2) + _array(2), "scalar": _array(), "after": _array(4)}
    return _map({"params": _map(layers), **others, **listed})


def _entry(shape: tuple[int, ...], *rest: bytes) -> bytes:
    dims = b"".join(field(2, field(1, size) if size else b"") for size in shape)
    return field(1, 1) + field(2, dims) + b"".join(rest) + b"\x35abcd"


def _index() -> bytes:
    """The block of an index: plain entries, several shards, slices, a string, an entry of odd order."""
    rows = [(b"", field(1, 2) + field(3, b"\x08\x01"))]
    for number in range(40):
        place = field(4, number * 1000) if number else b""
        shard = field(3, 1) if number % 2 else b""
        size = number % 3 * 8
        value = _entry((2, number % 3), shard, place, field(5, size) if size else b"")
        rows.append((b"layers/%02d" % number, value))
    rows.append((b"m", field(1, 1) + field(5, 8) + field(2, field(2, field(1, 2)))))
    rows.append((b"n", _entry((2,), field(4, 5), field(5, 9), field(7, b""))))
    rows.append((b"o", field(1, 7) + field(2, b"") + field(5, 12)))
    return tables.block(rows)


CASES: dict[str, tuple[Callable[[], bytes], Callable[[bytes], bytes], Any, str, Any]] = {
    "model.onnx": (_onnx, bytes, onnx_tensors, "_HEAD", NOTHING),
    "flax_model.msgpack": (_flax, bytes, flax, "_HEAD", NOTHING),
    "model.ckpt.index": (_index, tables.table, entries, "_kind", lambda start: None),
}
"""Name → bytes, what is put around them, and what has to be replaced that nothing is recognised."""


def _both(monkeypatch: pytest.MonkeyPatch, path: Path, data: bytes) -> tuple[FileReport, FileReport]:
    """The report with and without what is recognised."""
    _, wrap, module, attribute, never = CASES[path.name]
    path.write_bytes(wrap(data))
    quick = read_file(path, path.name)
    with monkeypatch.context() as patched:
        patched.setattr(module, attribute, never)
        return quick, read_file(path, path.name)


@pytest.mark.parametrize("name", CASES)
def test_whole_files_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    quick, slow = _both(monkeypatch, tmp_path / name, CASES[name][0]())
    assert quick == slow
    assert len(quick.tensors) > 40


@pytest.mark.parametrize("name", CASES)
def test_most_tensors_are_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without this the others would hold for a reader that recognises nothing."""
    slowly: list[object] = []
    where, attribute = {
        "model.onnx": (onnx._Model, "_tensor"),
        "flax_model.msgpack": (flax._Walk, "_next"),
        "model.ckpt.index": (entries, "_entry"),
    }[name]
    real = getattr(where, attribute)

    def counted(*arguments: Any) -> Any:
        slowly.append(arguments)
        return real(*arguments)

    path = tmp_path / name
    data, wrap = CASES[name][:2]
    path.write_bytes(wrap(data()))
    monkeypatch.setattr(where, attribute, counted)
    read = read_file(path, path.name).tensors
    assert 0 < len(slowly) < len(read) * 0.6


@pytest.mark.parametrize("name", CASES)
def test_damaged_files_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    data = CASES[name][0]()
    for seed in range(COUNT):
        for change in (mutated, in_place):
            quick, slow = _both(monkeypatch, tmp_path / name, change(data, seed))
            assert quick == slow, (change.__name__, seed)
    for end in range(0, len(data), max(len(data) // COUNT, 1)):
        quick, slow = _both(monkeypatch, tmp_path / name, data[:end])
        assert quick == slow, end


def test_the_budget_of_fields_ends_at_the_same_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _onnx()
    for budget in range(2, 60, 3):
        monkeypatch.setattr(onnx_wire, "MAX_FIELDS", budget)
        quick, slow = _both(monkeypatch, tmp_path / "model.onnx", data)
        assert quick == slow
        assert f"more than {budget} fields" in quick.problems[0].message


def test_the_budget_of_items_ends_at_the_same_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _flax()
    walk = flax._Walk
    for budget in range(2, 60, 3):
        monkeypatch.setattr(flax, "_Walk", partial(walk, budget=budget))
        quick, slow = _both(monkeypatch, tmp_path / "flax_model.msgpack", data)
        assert quick == slow
        assert "not read further" in quick.problems[0].message


def test_heads_that_are_never_the_same_take_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_tensors, "_MAX_HEADS", 3)
    monkeypatch.setattr(flax, "_MAX_HEADS", 3)
    monkeypatch.setattr(entries, "_MAX_KINDS", 3)
    for name, (data, *_) in CASES.items():
        quick, slow = _both(monkeypatch, tmp_path / name, data())
        assert quick == slow
    plain = onnx_tensors.PlainTensors("m.onnx", [], [], 100)
    tensors = b"".join(_tensor("w", size) for size in range(20))
    graph = onnx_wire.Message("graph", 7, None, 1)
    assert plain.take(graph, tensors, 0, 0, len(tensors), 1000)[0] == len(tensors)
    assert len(plain._heads) == 3


def test_a_length_of_2_to_the_60_is_left_to_the_slow_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = varint(1 << 60)
    dims = b"\x08" + huge + b"\x10\x01\x42\x01w\x4a" + varint(1 << 62)
    quick, slow = _both(monkeypatch, tmp_path / "model.onnx", field(1, 8) + field(7, b"\x2a" + huge + dims))
    assert quick == slow
    assert [problem.code for problem in quick.problems] == ["onnx-damaged"]
    array = b"\xc9\xff\xff\xff\xff\x01\x93\x92\xcf" + bytes([15]) + bytes(7) + b"\x01\xa7float32\xc6\xff\xff\xff\xff"
    quick, slow = _both(monkeypatch, tmp_path / "flax_model.msgpack", b"\x81\xa1w" + array)
    assert quick == slow
    assert [problem.code for problem in quick.problems] == ["flax-damaged"]
