"""Zstandard (RFC 8878) decompressed in memory, for the small pieces that checkpoints keep compressed.

The standard library has it from Python 3.14 on only. This reads what tensorstore writes of a database's nodes:
kilobytes to a few megabytes, never the weights. A frame ends at `limit` bytes; dictionaries are refused; checksums are
left to the format around it, which has its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

MAGIC = b"\x28\xb5\x2f\xfd"
_MAX_BLOCK = 1 << 17
_PAD = 16
"""Zero bytes put before a stream that is read from its end, so that a look beyond its beginning sees zeros."""

_LENGTHS = ((*range(16), 16, 18, 20, 22, 24, 28, 32, 40, 48, *(1 << n for n in range(6, 17))),
            (*([0] * 16), 1, 1, 1, 1, 2, 2, 3, 3, 4, *range(6, 17)))  # fmt: skip
_MATCHES = ((*range(3, 35), 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, *((1 << n) + 3 for n in range(7, 17))),
            (*([0] * 32), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, *range(7, 17)))  # fmt: skip
"""(baselines, further bits) by code: RFC 8878, section 3.1.1.3.2.1.1."""

_USUAL = (
    (6, (4, 3, *([2] * 11), 1, 1, 1, *([2] * 9), 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1)),
    (5, (1, 1, 1, 1, 1, 1, 2, 2, 2, *([1] * 15), -1, -1, -1, -1, -1)),
    (6, (1, 4, 3, 2, 2, 2, 2, 2, 2, *([1] * 37), -1, -1, -1, -1, -1, -1, -1)),
)
"""(bits of a state, probabilities) of literal lengths, offsets and match lengths where none are given."""

_MOST_BITS = (9, 8, 9)
_MOST_CODES = (36, 32, 53)


class ZstdError(Exception):
    """The bytes are no Zstandard frame: where, and why."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True)
class _Table:
    """States of a finite state decoder: the code each stands for, and how the next one is found."""

    bits: int
    codes: list[int]
    widths: list[int]
    bases: list[int]


@dataclass
class _Frame:
    """What one block leaves to the next."""

    out: bytearray
    limit: int
    recent: list[int] = field(default_factory=lambda: [1, 4, 8])
    tables: list[_Table | None] = field(default_factory=lambda: [None, None, None])
    huffman: tuple[int, list[int], list[int]] | None = None
    """(bits, symbol, width) by the next bits."""


def decompress(data: bytes, limit: int) -> bytes:
    """Every frame of `data`, at most `limit` bytes; `ZstdError` where it is damaged, cut short or larger."""
    frame = _Frame(bytearray(), limit)
    position = 0
    while position < len(data):
        if data[position : position + 4] != MAGIC:
            raise ZstdError("is no Zstandard frame", position)
        frame = _Frame(frame.out, limit)
        position = _frame(data, position + 4, frame)
    return bytes(frame.out)


def _frame(data: bytes, position: int, frame: _Frame) -> int:
    """One frame; the offset after it."""
    if position >= len(data):
        raise ZstdError("ends within a frame's header", position)
    flags = data[position]
    if flags & 0x08 or flags & 0x03:
        raise ZstdError("needs a dictionary or a later version of Zstandard", position)
    position += 1 + (not flags & 0x20) + (flags >> 5 & 1, 2, 4, 8)[flags >> 6]
    last = False
    while not last:
        header = int.from_bytes(data[position : position + 3], "little")
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        begin = position + 3
        position = begin + (1 if kind == 1 else size)
        if position > len(data) or size > _MAX_BLOCK or kind == 3:
            raise ZstdError("a block is damaged or cut short", begin - 3)
        if kind == 2:
            _block(data[begin:position], begin, frame)
        else:
            frame.out += data[begin:position] * (size if kind == 1 else 1)
        if len(frame.out) > frame.limit:
            raise ZstdError(f"holds more than {frame.limit:,} bytes", begin)
    return position + (4 if flags & 0x04 else 0)


def _block(data: bytes, offset: int, frame: _Frame) -> None:
    """A compressed block: literals, and sequences of literals and copies."""
    try:
        literals, position = _literals(data, frame)
        _sequences(data, position, literals, frame)
    except (IndexError, ValueError) as error:
        raise ZstdError(f"a compressed block is damaged: {error}", offset) from None


def _literals(data: bytes, frame: _Frame) -> tuple[bytes, int]:
    """The literals, and where the sequences begin."""
    kind, form = data[0] & 3, data[0] >> 2 & 3
    if kind < 2:
        width = (1, 2, 1, 3)[form]
        size = int.from_bytes(data[:width], "little") >> (4 if form & 1 else 3)
        end = width + (1 if kind == 1 else size)
        if size > _MAX_BLOCK or end > len(data):
            raise ValueError("the literals are cut short")
        return (data[width:end] * (size if kind == 1 else 1)), end
    width, bits = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
    both = int.from_bytes(data[:width], "little") >> 4
    size, end = both & (1 << bits) - 1, width + (both >> bits)
    if size > _MAX_BLOCK or end > len(data):
        raise ValueError("the literals are cut short")
    position = width
    if kind == 2:
        frame.huffman, position = _huffman(data[:end], width)
    if frame.huffman is None:
        raise ValueError("literals of an earlier tree that is not there")
    if form == 0:
        return _decoded(data[position:end], size, frame.huffman), end
    first, second, third = (int.from_bytes(data[position + at : position + at + 2], "little") for at in (0, 2, 4))
    cuts = [position + 6, position + 6 + first, position + 6 + first + second, position + 6 + first + second + third]
    each = (size + 3) // 4
    if cuts[-1] > end or size < 3 * each:
        raise ValueError("the streams of the literals are cut short")
    sizes = (each, each, each, size - 3 * each)
    ends = (*cuts[1:], end)
    parts = [_decoded(data[a:b], count, frame.huffman) for a, b, count in zip(cuts, ends, sizes, strict=True)]
    return b"".join(parts), end


def _padded(stream: bytes) -> tuple[bytes, int]:
    """A stream that is read from its end, zeros before it, and the bit at which reading begins."""
    if not stream or not stream[-1]:
        raise ValueError("a stream has no end mark")
    return bytes(_PAD) + stream + bytes(8), (_PAD + len(stream) - 1) * 8 + stream[-1].bit_length() - 1


def _decoded(stream: bytes, size: int, tree: tuple[int, list[int], list[int]]) -> bytes:
    """`size` literals of one stream."""
    bits, symbols, widths = tree
    padded, place = _padded(stream)
    mask, out = (1 << bits) - 1, bytearray(size)
    for index in range(size):
        at = place - bits
        code = int.from_bytes(padded[at >> 3 : (at >> 3) + 4], "little") >> (at & 7) & mask
        out[index] = symbols[code]
        place -= widths[code]
        if place < _PAD * 8:
            raise ValueError("a stream of literals ends early")
    if place != _PAD * 8:
        raise ValueError("a stream of literals does not end where it should")
    return bytes(out)


def _huffman(data: bytes, position: int) -> tuple[tuple[int, list[int], list[int]], int]:
    """The tree that begins at `position`, and where it ends."""
    header = data[position]
    position += 1
    if header >= 128:
        count = header - 127
        end = position + (count + 1) // 2
        weights = [nibble for byte in data[position:end] for nibble in (byte >> 4, byte & 15)][:count]
    else:
        end, count = position + header, 0
        weights = _weights(data[position:end])
    if end > len(data) or len(weights) > 255 or len(weights) < count:
        raise ValueError("a tree is cut short")
    total = sum(1 << weight - 1 for weight in weights if weight)
    bits = total.bit_length()
    left = (1 << bits) - total
    if not 1 <= bits <= 11 or left & left - 1 or max(weights) > 11:
        raise ValueError("the weights of a tree do not add up")
    weights.append(left.bit_length())
    symbols: list[int] = []
    widths: list[int] = []
    for weight in range(1, bits + 1):
        for symbol, other in enumerate(weights):
            if other == weight:
                symbols += [symbol] * (1 << weight - 1)
                widths += [bits + 1 - weight] * (1 << weight - 1)
    if len(symbols) != 1 << bits:
        raise ValueError("the weights of a tree do not add up")
    return (bits, symbols, widths), end


def _weights(data: bytes) -> list[int]:
    """Weights that are compressed themselves: two states take turns until the bits are used up."""
    table, position = _read_table(data, 0, 6, 256)
    padded, place = _padded(data[position:])
    states = [0, 0]
    for index in (0, 1):
        place -= table.bits
        states[index] = _bits(padded, place, table.bits)
    out: list[int] = []
    turn = 0
    while len(out) < 256:
        state = states[turn]
        out.append(table.codes[state])
        place -= table.widths[state]
        if place < _PAD * 8:
            out.append(table.codes[states[1 - turn]])
            return out
        states[turn] = table.bases[state] + _bits(padded, place, table.widths[state])
        turn = 1 - turn
    raise ValueError("a tree has too many weights")


def _bits(padded: bytes, place: int, count: int) -> int:
    """`count` bits that begin at bit `place`."""
    if place < 0:
        raise ValueError("a stream ends early")
    return int.from_bytes(padded[place >> 3 : (place >> 3) + 8], "little") >> (place & 7) & (1 << count) - 1


def _read_table(data: bytes, position: int, most_bits: int, most_codes: int) -> tuple[_Table, int]:
    """A table's probabilities, read forwards, and where they end."""
    value, place = int.from_bytes(data[position : position + 512], "little"), 4
    bits = (value & 15) + 5
    if bits > most_bits:
        raise ValueError("a table has too many states")
    left, counts = 1 << bits, list[int]()
    while left > 0 and len(counts) < most_codes:
        width = (left + 1).bit_length()
        read = value >> place & (1 << width) - 1
        place += width
        low, spare = (1 << width - 1) - 1, (1 << width) - 2 - left
        if read & low < spare:
            place -= 1
            read &= low
        elif read > low:
            read -= spare
        counts.append(read - 1)
        left -= abs(read - 1)
        more = 3 if read == 1 else 0
        while more == 3:
            more = value >> place & 3
            place += 2
            counts += [0] * more
            if len(counts) > most_codes:
                raise ValueError("a table has too many codes")
    end = position + (place + 7) // 8
    if left != 0 or end > len(data):
        raise ValueError("the probabilities of a table do not add up")
    return _table(bits, tuple(counts)), end


@cache
def _usual(index: int) -> _Table:
    return _table(*_USUAL[index])


def _table(bits: int, counts: tuple[int, ...]) -> _Table:
    """The states of a table (RFC 8878, section 4.1.1)."""
    size = 1 << bits
    codes = [0] * size
    high = size - 1
    for code, count in enumerate(counts):
        if count == -1:
            codes[high] = code
            high -= 1
    place = 0
    for code, count in enumerate(counts):
        for _ in range(max(count, 0)):
            codes[place] = code
            place = place + (size >> 1) + (size >> 3) + 3 & size - 1
            while place > high:
                place = place + (size >> 1) + (size >> 3) + 3 & size - 1
    following = [max(count, 1) for count in counts]
    widths, bases = [0] * size, [0] * size
    for state, code in enumerate(codes):
        number = following[code]
        following[code] += 1
        widths[state] = bits + 1 - number.bit_length()
        bases[state] = (number << widths[state]) - size
    return _Table(bits, codes, widths, bases)


def _tables(data: bytes, position: int, frame: _Frame) -> tuple[list[_Table], int]:
    """The three tables of a block's sequences, and where their stream begins."""
    modes = data[position]
    position += 1
    for index in range(3):
        mode = modes >> 6 - 2 * index & 3
        if mode == 0:
            frame.tables[index] = _usual(index)
        elif mode == 1:
            if data[position] >= _MOST_CODES[index]:
                raise ValueError("a code is out of range")
            frame.tables[index] = _Table(0, [data[position]], [0], [0])
            position += 1
        elif mode == 2:
            frame.tables[index], position = _read_table(data, position, _MOST_BITS[index], _MOST_CODES[index])
    found = [table for table in frame.tables if table is not None]
    if len(found) != 3:
        raise ValueError("sequences of an earlier table that is not there")
    return found, position


def _sequences(data: bytes, position: int, literals: bytes, frame: _Frame) -> None:
    """Literals and copies of what came before, in turn."""
    count = data[position]
    position += 1
    if count == 255:
        count, position = int.from_bytes(data[position : position + 2], "little") + 0x7F00, position + 2
    elif count >= 128:
        count, position = (count - 128 << 8) + data[position], position + 1
    used = 0
    if count:
        (lengths, offsets, matches), position = _tables(data, position, frame)
        padded, place = _padded(data[position:])
        states = []
        for table in (lengths, offsets, matches):
            place -= table.bits
            states.append(_bits(padded, place, table.bits))
        for left in range(count - 1, -1, -1):
            length, offset, match = lengths.codes[states[0]], offsets.codes[states[1]], matches.codes[states[2]]
            place -= offset
            distance = (1 << offset) + _bits(padded, place, offset)
            place -= _MATCHES[1][match]
            copied = _MATCHES[0][match] + _bits(padded, place, _MATCHES[1][match])
            place -= _LENGTHS[1][length]
            plain = _LENGTHS[0][length] + _bits(padded, place, _LENGTHS[1][length])
            if used + plain > len(literals) or place < _PAD * 8:
                raise ValueError("a sequence has no bits or literals left")
            frame.out += literals[used : used + plain]
            used += plain
            _copy(frame, _distance(frame.recent, distance, plain), copied)
            if left:
                for index, table in ((0, lengths), (2, matches), (1, offsets)):
                    width = table.widths[states[index]]
                    place -= width
                    states[index] = table.bases[states[index]] + _bits(padded, place, width)
        if place != _PAD * 8:
            raise ValueError("the stream of sequences does not end where it should")
    frame.out += literals[used:]


def _distance(recent: list[int], value: int, plain: int) -> int:
    """How far back a copy begins; the three last distances have short names (RFC 8878, section 3.1.1.5)."""
    if value > 3:
        recent[:] = [value - 3, recent[0], recent[1]]
        return recent[0]
    index = value - 1 + (plain == 0)
    if index == 3:
        recent[:] = [recent[0] - 1, recent[0], recent[1]]
    elif index:
        recent.insert(0, recent.pop(index))
    return recent[0]


def _copy(frame: _Frame, distance: int, count: int) -> None:
    """Bytes that came `distance` before; they may be among those that are being copied."""
    out = frame.out
    if not 0 < distance <= len(out) or len(out) + count > frame.limit:
        raise ValueError("a copy begins before the beginning" if len(out) + count <= frame.limit else "it is too large")
    begin = len(out) - distance
    if distance >= count:
        out += out[begin : begin + count]
    else:
        piece = bytes(out[begin:])
        out += (piece * (count // distance + 1))[:count]
