"""The commonest opcodes played in one loop, against their handlers one by one: the same trace, value and end."""

from __future__ import annotations

import collections
import datetime
import pickle
import random
from typing import Any

import pytest

from tests.fuzz.mutate import many
from tui.core.formats.pickles import machine
from tui.core.formats.pickles.machine import Machine
from tui.core.formats.pickles.trace import PickleBroken, Source
from tui.core.formats.pickles.values import Call, Mapping, Persistent

VALUES: list[Any] = [
    {"a": [1, 2.5, "x", b"y", (None, True), -5, 300, 70_000, 2**40, 2**70], "b": {"c": {1, 2}}, "é": ((), [], {})},
    [list(range(300)), [float(number) for number in range(100)], ["x" * 300, b"y" * 300]],
    collections.OrderedDict(a=(1, 2, 3, 4), b=datetime.date(2020, 1, 2)),
    [{"id": number, "name": f"n{number}", 3: None, None: 4, 1.5: False} for number in range(40)],
    [[number, (number,), (number, 1), (number, 1, 2)] for number in range(100)] * 2,
]


def _shown(value: Any, depth: int = 0) -> Any:
    """A value as plain data that compares; deep ones are cut, since streams may hold themselves."""
    if depth > 6:
        return "…"
    if isinstance(value, Mapping):
        return ["mapping", [(_shown(key, depth + 1), _shown(item, depth + 1)) for key, item in value.pairs]]
    if isinstance(value, Call):
        parts = (value.function, value.arguments, value.state, value.items, value.pairs)
        return ["call", [_shown(part, depth + 1) for part in parts]]
    if isinstance(value, Persistent):
        return ["persistent", _shown(value.value, depth + 1)]
    if isinstance(value, list | tuple):
        return [type(value).__name__, [_shown(item, depth + 1) for item in value]]
    return repr(value)


def _played(data: bytes) -> tuple[Any, ...]:
    run = Machine(Source(None, data))
    try:
        run.run()
        end: Any = run.trace.end
    except PickleBroken:
        end = "broken"
    trace = run.trace
    value = None if end == "broken" else _shown(trace.value)
    return end, value, list(trace.globals), trace.reasons, trace.refusal, trace.protocol, trace.persistent, trace.holds


def _same(data: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """Both ways, with the values of long runs of numbers kept."""
    monkeypatch.setattr(machine, "_NUMERIC", frozenset())
    together = _played(data)
    with monkeypatch.context() as patch:
        patch.setattr(machine, "LOOKAHEAD", 1 << 40)
        alone = _played(data)
    assert together == alone, data
    return together


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plays_the_same(protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in VALUES:
        assert _same(pickle.dumps(value, protocol=protocol) + b"\0" * 20, monkeypatch)[0] != "broken"


def test_plays_the_same_of_changed_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = 0
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for number, value in enumerate(VALUES):
            data = pickle.dumps(value, protocol=protocol)[:3000]
            for _, changed in many(data + b"." * 20, 1000 * protocol + 10_000 * number, 100):
                complete += _same(changed, monkeypatch)[0] != "broken"
    assert complete > 250


def test_plays_the_same_of_opcodes_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [
        b"N", b"(", b"t", b"e", b"u", b"a", b"s", b"]", b"}", b")", b"\x85", b"\x86", b"\x87", b"K\x01", b"M\1\2", b"0",
        b"J\1\2\3\4", b"\x94", b"q\x00", b"q\x01", b"q\x09", b"h\x00", b"r\2\0\0\0", b"j\1\0\0\0", b"X\1\0\0\0a", b"2",
        b"\x8c\1b", b"U\1c", b"C\1d", b"G" + b"\x3f" * 8, b"\x8a\1\xff", b"\x88", b"p7\n", b"g0\n",
        b"ccollections\nDeque\n", b"R", b"Q", b"b", b"\x81", b"l", b"d", b"\x8f", b"\x90", b"g-1\n",
    ]  # fmt: skip
    complete = 0
    for seed in range(6000):
        chance = random.Random(seed)
        data = b"".join(
            chance.choice(pieces[:16] if chance.random() < 0.5 else pieces) for _ in range(chance.randint(2, 9))
        )
        complete += _same(b"N]}K\1(N]}" + data + b"." * 20, monkeypatch)[0] != "broken"
    assert complete > 300


def test_a_memo_that_jumps_keeps_what_it_holds() -> None:
    stream = b"\x80\x02X\1\0\0\0aq\x00X\1\0\0\0bq\x07X\1\0\0\0cq\x01h\x00h\x07h\x01\x87."
    assert Machine(Source(None, stream)).run().value == ("a", "b", "c")
    assert pickle.loads(stream) == ("a", "b", "c")
    overwritten = b"\x80\x04X\1\0\0\0a\x94X\1\0\0\0bq\x00X\1\0\0\0c\x94h\x00h\x01\x86."
    assert Machine(Source(None, overwritten)).run().value == pickle.loads(overwritten) == ("b", "c")


def test_the_budget_holds_within_the_loop() -> None:
    run = Machine(Source(None, b"\x80\x02" + b"K\x01" * 100_000 + b"."), budget=5000)
    with pytest.raises(PickleBroken, match="more than"):
        run.run()
    assert len(run.stack) <= 5001
