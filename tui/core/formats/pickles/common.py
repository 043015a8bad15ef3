"""The commonest opcodes, played straight on the bytes at hand: most of any pickle is numbers, texts and tuples.

Each function gets the bytes, the place of its opcode, the stack and the memo; it returns the place of the next opcode,
or -1 and an unchanged stack where the handler of the machine must look: bytes beyond the window, long payloads, odd
targets.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from tui.core.formats.pickles.values import Mapping

Memo: TypeAlias = "list[Any] | Sparse"
Play = Callable[[bytes, int, "list[Any]", Memo], int]

LOOKAHEAD = 10
"""Bytes from an opcode on that the functions read without asking."""

_LONGEST = 1 << 16
"""Longer payloads are for the machine's handler."""

_MAX_LIST = 100_000
_INT = struct.Struct("<i").unpack_from
_SHORT = struct.Struct("<H").unpack_from
_SIZE = struct.Struct("<I").unpack_from
_DOUBLE = struct.Struct(">d").unpack_from


class Sparse(dict[int, Any]):
    """A memo whose numbers do not follow each other; a list is one whose numbers do."""

    def append(self, value: Any) -> None:
        """MEMOIZE: the number is how many there are."""
        self[len(self)] = value


def _put(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    if data[at + 1] != len(memo):
        return -1
    memo.append(stack[-1])
    return at + 2


def _long_get(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    stack.append(memo[_SIZE(data, at + 1)[0]])
    return at + 5


def _constant(value: Any) -> Play:
    def play(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
        stack.append(value)
        return at + 1

    return play


def _pop(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    if not stack:
        return -1
    stack.pop()
    return at + 1


def _int(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    stack.append(_INT(data, at + 1)[0])
    return at + 5


def _short(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    stack.append(_SHORT(data, at + 1)[0])
    return at + 3


def _double(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    stack.append(_DOUBLE(data, at + 1)[0])
    return at + 9


def _long(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    count = data[at + 1]
    if count > 8:
        return -1
    stack.append(int.from_bytes(data[at + 2 : at + 2 + count], "little", signed=True))
    return at + 2 + count


def _text(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    size: int = _SIZE(data, at + 1)[0]
    end = at + 5 + size
    if size > _LONGEST or end > len(data):
        return -1
    stack.append(data[at + 5 : end].decode("utf-8", "surrogatepass"))
    return end


def _short_text(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    end = at + 2 + data[at + 1]
    if end > len(data):
        return -1
    stack.append(data[at + 2 : end].decode("utf-8", "surrogatepass"))
    return end


def _short_latin(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    end = at + 2 + data[at + 1]
    if end > len(data):
        return -1
    stack.append(data[at + 2 : end].decode("latin-1"))
    return end


def _short_bytes(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    end = at + 2 + data[at + 1]
    if end > len(data):
        return -1
    stack.append(data[at + 2 : end])
    return end


def _empty_list(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    stack.append([])
    return at + 1


def _empty_dict(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    stack.append(Mapping([]))
    return at + 1


def _one(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    stack[-1] = (stack[-1],)
    return at + 1


def _two(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    first, second = stack[-2:]
    stack[-2:] = ((first, second),)
    return at + 1


def _three(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    first, second, third = stack[-3:]
    stack[-3:] = ((first, second, third),)
    return at + 1


def _append(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    target = stack[-2]
    if type(target) is not list or len(target) >= _MAX_LIST:
        return -1
    target.append(stack.pop())
    return at + 1


def _setitem(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    target, key, value = stack[-3:]
    if type(target) is not Mapping or type(key) is not str:
        return -1
    target.pairs.append((key, value))
    del stack[-2:]
    return at + 1


PLAYS: dict[int, Play] = {
    code[0]: play
    for code, play in (
        (b"q", _put),
        (b"j", _long_get),
        (b"N", _constant(None)),
        (b"\x88", _constant(True)),
        (b"\x89", _constant(False)),
        (b")", _constant(())),
        (b"0", _pop),
        (b"J", _int),
        (b"M", _short),
        (b"G", _double),
        (b"\x8a", _long),
        (b"X", _text),
        (b"\x8c", _short_text),
        (b"U", _short_latin),
        (b"C", _short_bytes),
        (b"]", _empty_list),
        (b"}", _empty_dict),
        (b"\x85", _one),
        (b"\x86", _two),
        (b"\x87", _three),
        (b"a", _append),
        (b"s", _setitem),
    )
}
"""By opcode."""


Close = Callable[[list[Any], list[Any]], bool]


def _tuple(items: list[Any], below: list[Any]) -> bool:
    below.append(tuple(items))
    return True


def _appends(items: list[Any], below: list[Any]) -> bool:
    target = below[-1]
    if type(target) is not list or len(target) >= _MAX_LIST:
        return False
    target.extend(items)
    return True


def _setitems(items: list[Any], below: list[Any]) -> bool:
    target, keys = below[-1], items[::2]
    if type(target) is not Mapping or not _KEYS.issuperset(map(type, keys)):
        return False
    target.pairs.extend(zip(keys, items[1::2], strict=True))
    return True


_KEYS = frozenset({str, int, float, bytes, bool, type(None)})

CLOSES: dict[int, Close] = {ord("t"): _tuple, ord("e"): _appends, ord("u"): _setitems}
"""What ends a MARK: gets what was pushed since and the stack below; false where the machine's handler must look."""
