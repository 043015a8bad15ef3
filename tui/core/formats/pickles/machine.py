"""The opcode loop: a pickle machine whose every object is an inert record.

Covers protocols 0 to 5. It notes, in the order of the stream, each name that loading would import, each call it would
make, and the first thing that torch's `weights_only` unpickler refuses (`torch/_weights_only_unpickler.py`, 2.13).
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tui.core.files import FileProblem, RegularFile
from tui.core.formats.pickles.allowed import TORCH_ALLOWED, TORCH_BLOCKED_MODULES
from tui.core.formats.pickles.rebuild import rebuild, storage_of
from tui.core.formats.pickles.values import Blob, Call, Global, Mapping, Persistent, Storage, TensorValue

MAX_OPCODES = 4_000_000
MAX_GLOBALS = 10_000
MAX_STRING = 1 << 20
"""Longer strings and bytes are skipped, not kept."""

_WINDOW = 1 << 20
_SMALL_INT_BYTES = 8

_PYTHON2 = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "cPickle": "pickle",
    "Queue": "queue",
    "commands": "subprocess",
}


class PickleBroken(Exception):
    """The stream is no complete pickle; `offset` is where it broke."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass
class Trace:
    """What one pickle does when it is loaded."""

    globals: dict[Global, None] = field(default_factory=dict)
    """Names that loading would import, each once, in the order of the stream."""

    calls: list[Call] = field(default_factory=list)
    reasons: list[tuple[str, str]] = field(default_factory=list)
    """(level, sentence) for each irregularity of the stream itself."""

    refusal: str | None = None
    """The first words of `weights_only`, without their prelude; `None` where it accepts the stream."""

    protocol: int = 0
    value: Any = None
    end: int = 0
    """Offset after STOP."""

    opcodes: int = 0
    persistent: bool = False

    def refuse(self, message: str) -> None:
        """Note what `weights_only` raises, the first time."""
        if self.refusal is None:
            self.refusal = message

    def note(self, found: Global) -> None:
        """Note a name; too many different ones are not a model's, and are said."""
        if found in self.globals:
            return
        if len(self.globals) >= MAX_GLOBALS:
            self.flag("not_verified", f"imports more than {MAX_GLOBALS:,} different names")
        else:
            self.globals[found] = None

    def flag(self, level: str, sentence: str) -> None:
        """Note an irregularity, each once; a full list still takes what is worse than it holds."""
        if (level, sentence) in self.reasons:
            return
        if len(self.reasons) < 64 or level not in {known for known, _ in self.reasons}:
            self.reasons.append((level, sentence))


class Source:
    """Bytes that the machine reads: a window over a file, or a buffer."""

    def __init__(self, file: RegularFile | None, data: bytes = b"", end: int | None = None) -> None:
        self._file = file
        self.data = data
        self.base = 0
        self.end = end if end is not None else (file.size if file is not None else len(data))

    def window(self, position: int, count: int) -> None:
        """Make `count` bytes from `position` available, or raise `PickleBroken`."""
        if position + count > self.end or self._file is None:
            raise PickleBroken("ends in the middle of an opcode", min(position, self.end))
        size = min(max(count, _WINDOW), self.end - position)
        try:
            self.data = self._file.read(position, size)
        except FileProblem as problem:
            raise PickleBroken(problem.problem.message, position) from None
        self.base = position


class Machine:
    """Runs one pickle symbolically; `run` returns its `Trace`."""

    def __init__(self, source: Source, start: int = 0, budget: int = MAX_OPCODES) -> None:
        self.source = source
        self.position = start
        self.start = start
        self.budget = budget
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.trace = Trace()
        self._frame_end = 0

    def run(self) -> Trace:
        """Walk until STOP; raises `PickleBroken` with the trace so far kept in `self.trace`."""
        handlers = _HANDLERS
        trace = self.trace
        count = 0
        try:
            while True:
                count += self._skim()
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
                if trace.refusal is None and opcode not in _WEIGHTS_ONLY_OPCODES:
                    trace.refuse(f"Unsupported operand {opcode}")
                handler(self)
            trace.value = self.stack.pop()
        except (IndexError, KeyError, struct.error, UnicodeDecodeError, OverflowError, TypeError, ValueError) as error:
            raise PickleBroken(f"malformed: {type(error).__name__} {error}", self.position) from None
        finally:
            trace.opcodes = count
            trace.end = self.position
        return trace

    def _skim(self) -> int:
        """Play the commonest opcodes (memo, small integers, MARK) in one loop; how many were played.

        They are two thirds of a state dict's stream, all of them allowed by `weights_only`.
        """
        source, memo = self.source, self.memo
        data, stack = source.data, self.stack
        index = self.position - source.base
        edge = len(data) - 5
        count = 0
        while 0 <= index < edge:
            opcode = data[index]
            if opcode == 0x71:  # BINPUT
                memo[data[index + 1]] = stack[-1]
                index += 2
            elif opcode == 0x72 and data[index + 4] == 0:  # LONG_BINPUT of a sane index
                memo[int.from_bytes(data[index + 1 : index + 4], "little")] = stack[-1]
                index += 5
            elif opcode == 0x68:  # BINGET
                stack.append(memo[data[index + 1]])
                index += 2
            elif opcode == 0x6A:  # LONG_BINGET
                stack.append(memo[int.from_bytes(data[index + 1 : index + 5], "little")])
                index += 5
            elif opcode == 0x4B:  # BININT1
                stack.append(data[index + 1])
                index += 2
            elif opcode == 0x28:  # MARK
                self.marks.append(stack)
                self.stack = stack = []
                index += 1
            else:
                break
            count += 1
        self.position = source.base + index
        return count

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

    def line(self) -> bytes:
        """Up to the next newline, which is dropped; at most 64 KiB."""
        out = bytearray()
        while (byte := self._byte()) != 0x0A:
            out.append(byte)
            if len(out) > 1 << 16:
                raise PickleBroken("a text argument longer than 64 KiB", self.position)
        return bytes(out)

    # helpers of the handlers

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
            target.extend(items)
            return
        self.trace.refuse("Can only append to lists, but got an object")
        if isinstance(target, Call):
            target.items = (target.items or []) + items

    def set_in(self, target: Any, pairs: list[tuple[Any, Any]], opcode: str) -> None:
        """SETITEM and SETITEMS."""
        if isinstance(target, Mapping):
            target.pairs.extend(pairs)
            return
        self.trace.refuse(
            f"Can only {opcode} for dict, collections.OrderedDict, collections.Counter, but got an object"
        )
        if isinstance(target, Call):
            target.pairs = (target.pairs or []) + pairs


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


# opcodes, in the order of pickletools

Handler = Callable[[Machine], None]
_HANDLERS: dict[int, Handler] = {}


def _on(*codes: bytes) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for code in codes:
            _HANDLERS[code[0]] = handler
        return handler

    return register


def _number(code: bytes, form: str) -> None:
    unpack = struct.Struct(form)

    def push(machine: Machine) -> None:
        machine.stack.append(unpack.unpack(machine.take(unpack.size))[0])

    _HANDLERS[code[0]] = push


_number(b"J", "<i")
_number(b"K", "<B")
_number(b"M", "<H")
_number(b"G", ">d")


def _constant(code: bytes, value: Any) -> None:
    def push(machine: Machine) -> None:
        machine.stack.append(value)

    _HANDLERS[code[0]] = push


_constant(b"N", None)
_constant(b"\x88", True)
_constant(b"\x89", False)
_constant(b")", ())


@_on(b"I")
def _int_text(machine: Machine) -> None:
    text = machine.line()
    if text in (b"00", b"01"):
        machine.stack.append(text == b"01")
    else:
        machine.stack.append(_small_int(text))


@_on(b"L")
def _long_text(machine: Machine) -> None:
    machine.stack.append(_small_int(machine.line().rstrip(b"L")))


def _small_int(text: bytes) -> int | str:
    """Numbers of many digits stay text: they collide in hashes and cost time to parse."""
    return int(text) if len(text) <= 18 else text.decode("ascii", "replace")[:64]


@_on(b"\x8a", b"\x8b")
def _long(machine: Machine) -> None:
    wide = machine.source.data[machine.position - 1 - machine.source.base] == 0x8B
    count = struct.unpack("<i", machine.take(4))[0] if wide else machine.take(1)[0]
    if count < 0:
        raise PickleBroken("a number of negative length", machine.position)
    data = machine.payload(count)
    if isinstance(data, Blob) or count > _SMALL_INT_BYTES:
        shown = data.size if isinstance(data, Blob) else count
        value: Any = 0x1950A86A20F9469CFC6C if data == _TORCH_MAGIC else f"an integer of {shown} bytes"
        machine.stack.append(value)
    else:
        machine.stack.append(int.from_bytes(data, "little", signed=True))


_TORCH_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")


@_on(b"F")
def _float_text(machine: Machine) -> None:
    machine.stack.append(float(machine.line()))


def _sized(code: bytes, width: int, kind: str) -> None:
    """Strings and bytes that are preceded by their length."""

    def push(machine: Machine) -> None:
        count = int.from_bytes(machine.take(width), "little")
        data = machine.payload(count)
        if isinstance(data, Blob) or kind == "bytes":
            machine.stack.append(data)
        elif kind == "text":
            machine.stack.append(data.decode("utf-8", "surrogatepass"))
        else:
            machine.stack.append(data.decode("latin-1"))

    _HANDLERS[code[0]] = push


_sized(b"T", 4, "latin")
_sized(b"U", 1, "latin")
_sized(b"B", 4, "bytes")
_sized(b"C", 1, "bytes")
_sized(b"\x8e", 8, "bytes")
_sized(b"\x96", 8, "bytes")
_sized(b"X", 4, "text")
_sized(b"\x8c", 1, "text")
_sized(b"\x8d", 8, "text")


@_on(b"S")
def _string(machine: Machine) -> None:
    text = machine.line().decode("latin-1").strip("'\"")
    machine.stack.append(codecs.escape_decode(text.encode("latin-1"))[0].decode("latin-1") if "\\" in text else text)


@_on(b"V")
def _unicode_text(machine: Machine) -> None:
    machine.stack.append(machine.line().decode("raw-unicode-escape", "replace"))


@_on(b"]")
def _empty_list(machine: Machine) -> None:
    machine.stack.append([])


@_on(b"}")
def _empty_dict(machine: Machine) -> None:
    machine.stack.append(Mapping([]))


@_on(b"\x8f")
def _empty_set(machine: Machine) -> None:
    machine.stack.append([])


@_on(b"(")
def _mark(machine: Machine) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


@_on(b"0")
def _pop(machine: Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.mark_items()


@_on(b"1")
def _pop_mark(machine: Machine) -> None:
    machine.mark_items()


@_on(b"2")
def _dup(machine: Machine) -> None:
    machine.stack.append(machine.stack[-1])


@_on(b"a")
def _append(machine: Machine) -> None:
    item = machine.stack.pop()
    machine.append_to(machine.stack[-1], [item])


@_on(b"e", b"\x90")
def _appends(machine: Machine) -> None:
    items = machine.mark_items()
    machine.append_to(machine.stack[-1], items)


@_on(b"s")
def _setitem(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_in(machine.stack[-1], [(key, value)], "SETITEM")


@_on(b"u")
def _setitems(machine: Machine) -> None:
    items = machine.mark_items()
    machine.set_in(machine.stack[-1], list(zip(items[::2], items[1::2], strict=True)), "SETITEMS")


@_on(b"t")
def _tuple(machine: Machine) -> None:
    items = machine.mark_items()
    machine.stack.append(tuple(items))


@_on(b"\x85")
def _tuple1(machine: Machine) -> None:
    machine.stack[-1] = (machine.stack[-1],)


@_on(b"\x86")
def _tuple2(machine: Machine) -> None:
    machine.stack[-2:] = [(machine.stack[-2], machine.stack[-1])]


@_on(b"\x87")
def _tuple3(machine: Machine) -> None:
    machine.stack[-3:] = [(machine.stack[-3], machine.stack[-2], machine.stack[-1])]


@_on(b"l")
def _list(machine: Machine) -> None:
    items = machine.mark_items()
    machine.stack.append(items)


@_on(b"d")
def _dict(machine: Machine) -> None:
    items = machine.mark_items()
    machine.stack.append(Mapping(list(zip(items[::2], items[1::2], strict=True))))


@_on(b"\x91")
def _frozenset(machine: Machine) -> None:
    items = machine.mark_items()
    machine.stack.append(items)


@_on(b"c")
def _global(machine: Machine) -> None:
    module = machine.line().decode("utf-8", "replace")
    machine.push_global(module, machine.line().decode("utf-8", "replace"))


@_on(b"\x93")
def _stack_global(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    literal = isinstance(name, str) and isinstance(module, str)
    machine.push_global(module if isinstance(module, str) else "?", name if isinstance(name, str) else "?", literal)


@_on(b"R")
def _reduce(machine: Machine) -> None:
    arguments = machine.stack.pop()
    machine.stack[-1] = machine.call(machine.stack[-1], arguments, "reduce")


@_on(b"\x81")
def _newobj(machine: Machine) -> None:
    arguments = machine.stack.pop()
    machine.stack[-1] = machine.call(machine.stack[-1], arguments, "new object")


@_on(b"\x92")
def _newobj_ex(machine: Machine) -> None:
    keywords, arguments = machine.stack.pop(), machine.stack.pop()
    machine.stack[-1] = machine.call(machine.stack[-1], (arguments, keywords), "new object")


@_on(b"i")
def _inst(machine: Machine) -> None:
    module = machine.line().decode("utf-8", "replace")
    name = machine.line().decode("utf-8", "replace")
    arguments = tuple(machine.mark_items())
    machine.push_global(module, name)
    machine.stack[-1] = machine.call(machine.stack[-1], arguments, "reduce")


@_on(b"o")
def _obj(machine: Machine) -> None:
    items = machine.mark_items()
    machine.stack.append(machine.call(items[0], tuple(items[1:]), "reduce"))


@_on(b"b")
def _build(machine: Machine) -> None:
    state = machine.stack.pop()
    target = machine.stack[-1]
    if isinstance(target, Mapping):
        target.attributes = state
        if not target.ordered:
            machine.trace.refuse("Can only build Tensor, Parameter, OrderedDict or types allowlisted, but got dict")
    elif isinstance(target, Call):
        target.state = state
    elif not isinstance(target, TensorValue):
        machine.trace.refuse("Can only build Tensor, Parameter, OrderedDict or types allowlisted, but got an object")
        if isinstance(target, Global):
            machine.trace.flag("dangerous", f"changes attributes of {target.full} itself")


@_on(b"Q", b"P")
def _persistent(machine: Machine) -> None:
    text = machine.source.data[machine.position - 1 - machine.source.base] == 0x50
    identity = machine.line().decode("latin-1") if text else machine.stack.pop()
    machine.trace.persistent = True
    storage: Storage | None = storage_of(identity)
    if storage is None and machine.trace.refusal is None and not isinstance(identity, tuple | int):
        machine.trace.refuse("persistent_load id must be tuple or int, but got an object")
    machine.stack.append(storage if storage is not None else Persistent(identity))


def _memo(code: bytes, width: int, store: bool) -> None:
    def handle(machine: Machine) -> None:
        index = int(machine.line()) if width == 0 else int.from_bytes(machine.take(width), "little")
        if not store:
            machine.stack.append(machine.memo[index])
            return
        if index > 1 << 26:
            machine.trace.flag("suspicious", f"a memo index of {index:,} makes the loader allocate gigabytes")
        machine.memo[index] = machine.stack[-1]

    _HANDLERS[code[0]] = handle


for _code, _width, _store in (
    (b"p", 0, True),
    (b"q", 1, True),
    (b"r", 4, True),
    (b"g", 0, False),
    (b"h", 1, False),
    (b"j", 4, False),
):
    _memo(_code, _width, _store)


@_on(b"\x94")
def _memoize(machine: Machine) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


@_on(b"\x80")
def _proto(machine: Machine) -> None:
    machine.trace.protocol = max(machine.trace.protocol, machine.take(1)[0])


@_on(b"\x95")
def _frame(machine: Machine) -> None:
    count = int.from_bytes(machine.take(8), "little")
    if machine.position + count > machine.source.end:
        machine.trace.flag("suspicious", "a frame reaches beyond the end of the stream")


@_on(b"\x82", b"\x83", b"\x84")
def _extension(machine: Machine) -> None:
    code = machine.source.data[machine.position - 1 - machine.source.base]
    number = int.from_bytes(machine.take({0x82: 1, 0x83: 2, 0x84: 4}[code]), "little")
    machine.trace.flag("dangerous", f"calls extension {number} of the interpreter's registry, which no file names")
    machine.stack.append(Global("copyreg", f"extension_{number}"))


@_on(b"\x97")
def _next_buffer(machine: Machine) -> None:
    machine.stack.append(Blob(machine.position, 0))


@_on(b"\x98")
def _readonly_buffer(machine: Machine) -> None:
    """READONLY_BUFFER leaves the stack as it is."""


_WEIGHTS_ONLY_OPCODES = frozenset(
    code[0]
    for code in (
        b"c", b"\x81", b"R", b"b", b"a", b"e", b"s", b"u", b"(", b"t", b"\x85", b"\x86", b"\x87", b"N", b"\x89",
        b"\x88", b")", b"]", b"}", b"\x8f", b"Q", b"J", b"K", b"M", b"G", b"h", b"j", b"q", b"r", b"X", b"U", b"\x8a",
        b"\x80", b".",
    )
)  # fmt: skip
"""What the `weights_only` unpickler implements; any other opcode is `Unsupported operand N`."""
