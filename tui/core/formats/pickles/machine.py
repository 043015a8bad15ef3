"""The opcode loop: a pickle machine whose every object is an inert record.

Covers protocols 0 to 5. It notes, in the order of the stream, each name that loading would import, each call it would
make, and the first thing that torch's `weights_only` unpickler refuses (`torch/_weights_only_unpickler.py`, 2.13).
"""

from __future__ import annotations

import re
import struct
from typing import Any

from tui.core.formats.pickles.allowed import TORCH_ALLOWED, TORCH_BLOCKED_MODULES
from tui.core.formats.pickles.common import CLOSES, LOOKAHEAD, PLAYS, Memo, Sparse
from tui.core.formats.pickles.opcodes import HANDLERS, WEIGHTS_ONLY_OPCODES
from tui.core.formats.pickles.rebuild import rebuild
from tui.core.formats.pickles.trace import MAX_GLOBALS, PickleBroken, Source, Trace
from tui.core.formats.pickles.values import ArrayValue, Blob, Call, Global, Mapping, TensorValue

MAX_OPCODES = 4_000_000
MAX_STRING = 1 << 20
"""Longer strings and bytes are skipped, not kept."""

MAX_LINE = 1 << 16
MAX_MARKS = 1 << 16
MAX_LIST = 100_000
"""Plain numbers beyond that many in a list are counted as read and not kept."""

_NUMBERS = re.compile(rb"(?:G.{8}|J.{4}|K.|M..){64,4096}+", re.DOTALL)
"""A run of numbers that is too long to be a shape: played at once, and their values not kept."""

_ONE_NUMBER = re.compile(rb"G.{8}|J.{4}|K.|M..", re.DOTALL)
_SIZE = struct.Struct("<I").unpack_from
_CALLS = frozenset(b"RQ")
_HELD = frozenset({TensorValue, ArrayValue})
_NUMERIC = frozenset(b"GJKM")


def _other(data: bytes, at: int, stack: list[Any], memo: Memo) -> int:
    """Every other opcode: left to its handler."""
    return -1


_PLAYS = [PLAYS.get(code, _other) for code in range(256)]
_ALLOWED_PLAYS = [PLAYS.get(code, _other) if code in WEIGHTS_ONLY_OPCODES else _other for code in range(256)]

_PYTHON2 = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "cPickle": "pickle",
    "Queue": "queue",
    "commands": "subprocess",
}


class Machine:
    """Runs one pickle symbolically; `run` returns its `Trace`."""

    def __init__(self, source: Source, start: int = 0, budget: int = MAX_OPCODES, depth: int = 0) -> None:
        self.source = source
        self.depth = depth
        """How many pickles this one lies in."""
        self.position = start
        self.start = start
        self.budget = budget
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: list[Any] | Sparse = []
        self.trace = Trace()
        self._frame_end = 0

    def run(self) -> Trace:
        """Walk until STOP; raises `PickleBroken` with the trace so far kept in `self.trace`."""
        handlers = HANDLERS
        trace = self.trace
        count = 0
        try:
            while True:
                count += self._skim(self.budget - count)
                opcode = self._byte()
                if opcode == 0x2E:
                    break
                handler = handlers.get(opcode)
                if handler is None:
                    trace.refuse(f"Unsupported operand {opcode}")
                    raise PickleBroken(f"byte {opcode:#04x} is no pickle opcode", self.position - 1)
                count += 1
                if count > self.budget:
                    raise PickleBroken(f"more than {self.budget:,} opcodes: not read further", self.position)
                if trace.refusal is None and opcode not in WEIGHTS_ONLY_OPCODES:
                    trace.refuse(f"Unsupported operand {opcode}")
                handler(self)
            trace.value = self.stack.pop()
        except (IndexError, KeyError, struct.error, UnicodeDecodeError, OverflowError, TypeError, ValueError) as error:
            raise PickleBroken(f"malformed: {type(error).__name__} {error}", self.position) from None
        finally:
            trace.opcodes = count
            trace.end = self.position
        return trace

    def run_quietly(self) -> Trace:
        """The same for bytes that need not be a pickle: what was met until it broke."""
        try:
            self.run()
        except PickleBroken:
            self.stack = []
        return self.trace

    def _skim(self, most: int) -> int:
        """Play the commonest opcodes in one loop, `most` of them; how many were played.

        They are nine tenths of most streams. Where `weights_only` still accepts the stream, only those that it knows.
        """
        source, memo = self.source, self.memo
        data, stack = source.data, self.stack
        refused = self.trace.refusal is not None
        plays, memoize = (_PLAYS, 0x94) if refused else (_ALLOWED_PLAYS, None)
        index = self.position - source.base
        edge = len(data) - LOOKAHEAD
        count = 0
        try:
            while 0 <= index < edge and count < most:
                opcode = data[index]
                if opcode == 0x72 and _SIZE(data, index + 1)[0] == len(memo):  # LONG_BINPUT of the next number
                    memo.append(stack[-1])
                    index += 5
                elif opcode == memoize:
                    memo.append(stack[-1])
                    index += 1
                elif opcode == 0x4B:  # BININT1
                    stack.append(data[index + 1])
                    index += 2
                elif opcode == 0x68:  # BINGET
                    stack.append(memo[data[index + 1]])
                    index += 2
                else:
                    after = plays[opcode](data, index, stack, memo)
                    if after < 0:
                        after = self._step(opcode, index)
                        if after < 0:
                            break
                        stack = self.stack
                    index = after
                count += 1
        finally:
            self.position = source.base + index
        return count

    def _step(self, opcode: int, index: int) -> int:
        """Play MARK, what ends one, a call or a storage's name; the place of the next opcode, -1 for any other."""
        if opcode == 0x28:
            self.mark()
            return self._numbers(index + 1)
        if opcode in _CALLS:
            self.position = self.source.base + index + 1
            HANDLERS[opcode](self)
            return index + 1
        close = CLOSES.get(opcode)
        if close is None or not close(self.stack, self.marks[-1]):
            return -1
        self.stack = self.marks.pop()
        return index + 1

    def _numbers(self, index: int) -> int:
        """A run of numbers after a MARK, too long to be a shape, played at once as zeros; the place after it."""
        numbers = _NUMBERS.match(self.source.data, index) if self.source.data[index] in _NUMERIC else None
        if numbers is None:
            return index
        count = _how_many(numbers[0])
        self.stack.extend([0] * count)
        self.budget -= count >> 4
        return numbers.end()

    def unfinished(self) -> Any:
        """What a stream that breaks off had built: each open level in what stands before its MARK."""
        levels = [*self.marks, self.stack]
        while len(levels) > 1:
            items, outer = levels.pop(), levels[-1]
            target = outer[-1] if outer else None
            if isinstance(target, Mapping):
                outer[-1] = Mapping([*target.pairs, *zip(items[::2], items[1::2], strict=False)])
            elif isinstance(target, list):
                outer[-1] = [*target, *items]
            else:
                outer.append(items)
        bottom = levels[0]
        if len(bottom) == 3 and isinstance(bottom[0], Mapping):  # a key and a value that SETITEM would have set
            return Mapping([*bottom[0].pairs, (bottom[1], bottom[2])])
        return bottom[0] if bottom else None

    # reading

    def _byte(self) -> int:
        source = self.source
        index = self.position - source.base
        if not 0 <= index < len(source.data):
            source.window(self.position, 1)
            index = 0
        self.position += 1
        return source.data[index]

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        source = self.source
        index = self.position - source.base
        if index < 0 or index + count > len(source.data):
            source.window(self.position, count)
            index = 0
        self.position += count
        return source.data[index : index + count]

    def payload(self, count: int) -> bytes | Blob:
        """The next `count` bytes, skipped where they are many."""
        if self.position + count > self.source.end:
            raise PickleBroken(f"wants {count:,} bytes at {self.position:,}, beyond the end", self.position)
        if count <= MAX_STRING:
            return self.take(count)
        blob = Blob(self.position, count)
        self.position += count
        return blob

    def step_over(self, count: int) -> None:
        """Move on by `count` bytes that are no opcodes."""
        if count > self.source.end - self.position:
            raise PickleBroken(f"wants {count:,} bytes at {self.position:,}, beyond the end", self.position)
        self.position += count

    def line(self) -> bytes:
        """Up to the next newline, which is dropped; at most 64 KiB."""
        source = self.source
        start = self.position - source.base
        end = source.data.find(b"\n", max(start, 0), start + MAX_LINE + 1) if start >= 0 else -1
        if end < 0:
            source.window(self.position, min(MAX_LINE + 1, source.end - self.position))
            start, end = 0, source.data.find(b"\n", 0, MAX_LINE + 1)
        if end < 0:
            where = self.position + min(MAX_LINE, len(source.data))
            words = "a text argument longer than 64 KiB" if len(source.data) > MAX_LINE else "ends in a text argument"
            raise PickleBroken(words, where)
        self.position = source.base + end + 1
        return source.data[start:end]

    # helpers of the handlers

    def remember(self, index: int, value: Any) -> None:
        """PUT: a number that does not follow the last makes the memo sparse."""
        memo = self.memo
        if index == len(memo):
            memo.append(value)
            return
        if isinstance(memo, list) and not 0 <= index < len(memo):
            self.memo = memo = Sparse(enumerate(memo))
        memo[index] = value

    def mark(self) -> None:
        """MARK: what follows is a level deeper; no writer goes as deep as the limit, each level being a call."""
        if len(self.marks) >= MAX_MARKS:
            raise PickleBroken(f"more than {MAX_MARKS:,} open MARKs: not read further", self.position)
        self.marks.append(self.stack)
        self.stack = []

    def mark_items(self) -> list[Any]:
        """What was pushed since the last MARK."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def push_global(self, module: str, name: str, literal: bool = True) -> None:
        """A name is imported."""
        trace = self.trace
        module = _PYTHON2.get(module, module)
        if module == "builtins" and name in ("unicode", "long", "xrange", "reduce"):
            module, name = {
                "unicode": ("builtins", "str"),
                "long": ("builtins", "int"),
                "xrange": ("builtins", "range"),
                "reduce": ("functools", "reduce"),
            }[name]
        found = Global(module, name)
        trace.note(found)
        if not literal:
            trace.flag("dangerous", "imports a name that the stream computes instead of writing it out")
        if trace.refusal is None:
            _check_global(trace, found)
        self.stack.append(found)

    def call(self, function: Any, arguments: Any, opcode: str) -> Any:
        """Something is called with arguments; returns the record that stands for the result."""
        trace = self.trace
        if trace.refusal is None and not (isinstance(function, Global) and function.full in TORCH_ALLOWED):
            shown = f"<class '{function.full}'>" if isinstance(function, Global) else "an object"
            trace.refuse(f"Trying to call {opcode} for unrecognized function {shown}")
        if isinstance(function, Global):
            value = rebuild(function.full, arguments, trace)
            if value is not None:
                trace.holds = trace.holds or type(value) in _HELD
                return value
        else:
            trace.flag("suspicious", "calls the result of another call")
        made = Call(function, arguments)
        if len(trace.calls) < MAX_GLOBALS:
            trace.calls.append(made)
        return made

    def append_to(self, target: Any, items: list[Any]) -> None:
        """APPEND and APPENDS."""
        if isinstance(target, list):
            if len(target) < MAX_LIST or items.count(0) < len(items):
                target.extend(items)
            return
        self.trace.refuse("Can only append to lists, but got an object")
        if isinstance(target, Call):
            target.items = (target.items or []) + items
        elif not isinstance(target, Mapping):
            raise PickleBroken(f"appends to a {type(target).__name__}, which is no list", self.position)

    def set_in(self, target: Any, pairs: list[tuple[Any, Any]], opcode: str) -> None:
        """SETITEM and SETITEMS."""
        if any(isinstance(key, list | Mapping) for key, _ in pairs):
            raise PickleBroken("sets a key that no dictionary can hold: a list or a dictionary", self.position)
        if isinstance(target, Mapping):
            target.pairs.extend(pairs)
            return
        self.trace.refuse(
            f"Can only {opcode} for dict, collections.OrderedDict, collections.Counter, but got an object"
        )
        if isinstance(target, Call):
            target.pairs = (target.pairs or []) + pairs
        elif not isinstance(target, list):
            raise PickleBroken(f"sets items of a {type(target).__name__}", self.position)


def _how_many(run: bytes) -> int:
    """Numbers in a run."""
    if run[0] == 0x47 and len(run) % 9 == 0 and run[::9].count(b"G") == len(run) // 9:
        return len(run) // 9
    return len(_ONE_NUMBER.findall(run))


def _check_global(trace: Trace, found: Global) -> None:
    """What `weights_only` says of a name, as it says it."""
    if found.module in TORCH_BLOCKED_MODULES:
        trace.refuse(f"Trying to load unsupported GLOBAL {found.full} whose module {found.module} is blocked.")
    elif found.full not in TORCH_ALLOWED:
        shown = found.name if found.module == "builtins" else found.full
        trace.refuse(
            f"Unsupported global: GLOBAL {shown} was not an allowed global by default. Please use "
            f"`torch.serialization.add_safe_globals([{shown}])` or the `torch.serialization.safe_globals([{shown}])` "
            "context manager to allowlist this global if you trust this class/function."
        )
