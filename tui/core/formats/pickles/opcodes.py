"""One small function per opcode, protocols 0 to 5, in the order of `pickletools`."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tui.core.formats.pickles.arrays import built
from tui.core.formats.pickles.rebuild import storage_of
from tui.core.formats.pickles.trace import PickleBroken
from tui.core.formats.pickles.values import Blob, Call, Global, Mapping, Persistent, Storage, TensorValue

if TYPE_CHECKING:
    from tui.core.formats.pickles.machine import Machine

_SMALL_INT_BYTES = 8
TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that a legacy torch file begins with (`torch/serialization.py`, `MAGIC_NUMBER`)."""

Handler = Callable[["Machine"], None]
HANDLERS: dict[int, Handler] = {}


def _on(*codes: bytes) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for code in codes:
            HANDLERS[code[0]] = handler
        return handler

    return register


def _number(code: bytes, form: str) -> None:
    unpack = struct.Struct(form)

    def push(machine: Machine) -> None:
        machine.stack.append(unpack.unpack(machine.take(unpack.size))[0])

    HANDLERS[code[0]] = push


_number(b"J", "<i")
_number(b"K", "<B")
_number(b"M", "<H")
_number(b"G", ">d")


def _constant(code: bytes, value: Any) -> None:
    def push(machine: Machine) -> None:
        machine.stack.append(value)

    HANDLERS[code[0]] = push


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
    """Numbers of many digits stay text: they collide in hashes and cost time to parse. torch's magic is known."""
    if text == _TORCH_MAGIC_TEXT:
        return TORCH_MAGIC
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
        value: Any = TORCH_MAGIC if data == _TORCH_MAGIC else f"an integer of {shown} bytes"
        machine.stack.append(value)
    else:
        machine.stack.append(int.from_bytes(data, "little", signed=True))


_TORCH_MAGIC = TORCH_MAGIC.to_bytes(10, "little")
_TORCH_MAGIC_TEXT = str(TORCH_MAGIC).encode()


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

    HANDLERS[code[0]] = push


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
    machine.mark()


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
        built(machine, target)
    elif not isinstance(target, TensorValue):
        machine.trace.refuse("Can only build Tensor, Parameter, OrderedDict or types allowlisted, but got an object")
        if isinstance(target, Global):
            machine.trace.flag("dangerous", f"changes attributes of {target.full} itself")


@_on(b"Q", b"P")
def _persistent(machine: Machine) -> None:
    text = machine.source.data[machine.position - 1 - machine.source.base] == 0x50
    identity = machine.line().decode("latin-1") if text else machine.stack.pop()
    machine.trace.persistent = machine.trace.holds = True
    storage: Storage | None = storage_of(identity)
    if storage is None and machine.trace.refusal is None and not isinstance(identity, tuple | int):
        machine.trace.refuse("persistent_load id must be tuple or int, but got an object")
    machine.stack.append(storage if storage is not None else Persistent(identity))


def _memo(code: bytes, width: int, store: bool) -> None:
    def handle(machine: Machine) -> None:
        index = int(machine.line()) if width == 0 else int.from_bytes(machine.take(width), "little")
        if not store:
            if index < 0:
                raise PickleBroken(f"asks for memo number {index}", machine.position)
            machine.stack.append(machine.memo[index])
            return
        if index > 1 << 26:
            machine.trace.flag("suspicious", f"a memo index of {index:,} makes the loader allocate gigabytes")
        machine.remember(index, machine.stack[-1])

    HANDLERS[code[0]] = handle


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
    machine.memo.append(machine.stack[-1])


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
    raise PickleBroken("wants a buffer that is handed over beside the stream", machine.position)


@_on(b"\x98")
def _readonly_buffer(machine: Machine) -> None:
    """READONLY_BUFFER leaves the stack as it is."""


WEIGHTS_ONLY_OPCODES = frozenset(
    code[0]
    for code in (
        b"c", b"\x81", b"R", b"b", b"a", b"e", b"s", b"u", b"(", b"t", b"\x85", b"\x86", b"\x87", b"N", b"\x89",
        b"\x88", b")", b"]", b"}", b"\x8f", b"Q", b"J", b"K", b"M", b"G", b"h", b"j", b"q", b"r", b"X", b"U", b"\x8a",
        b"\x80", b".",
    )
)  # fmt: skip
"""What the `weights_only` unpickler implements; any other opcode is `Unsupported operand N`."""
