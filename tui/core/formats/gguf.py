"""GGUF (llama.cpp), versions 1 to 3, both byte orders: the header alone, with bounds before every count.

The official reader (gguf 0.19, `gguf_reader.py`) builds a numpy view for each element of each array and hangs or runs
out of memory on hostile counts, so the header is walked here. What it and `gguf.cpp` of llama.cpp refuse becomes a
`Problem` with their words. Dimensions are in the file's order, the fastest first, as the official reader has them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.formats.cursor import Cursor, CutShort, Damaged, too_many
from tui.core.formats.extents import overlap_words, overlapping
from tui.core.problems import Problem
from tui.core.tensors import Tensor
from tui.core.text import bytes_size, count_of, listing, printable

if TYPE_CHECKING:
    from tui.core.files import RegularFile

MAX_DIMENSIONS = 8
MAX_TEXT = 1 << 18
"""Longer strings of the metadata are cut; a chat template has some ten thousand characters."""

MAX_TENSORS = 1_000_000
MAX_KEYS = 100_000
_SHOWN = 8

TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 4: ("Q4_2", 16, 10),
    5: ("Q4_3", 16, 12), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 31: ("Q4_0_4_4", 32, 18),
    32: ("Q4_0_4_8", 32, 18), 33: ("Q4_0_8_8", 32, 18), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    36: ("IQ4_NL_4_4", 32, 18), 37: ("IQ4_NL_4_8", 32, 18), 38: ("IQ4_NL_8_8", 32, 18), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""Name, elements and bytes of a block by ggml type (`gguf/constants.py` 0.19, and the types that ggml has removed)."""

REMOVED = frozenset({4, 5, 31, 32, 33, 36, 37, 38})
"""Types that current readers refuse."""

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_ELEMENTS = {0: "u8", 1: "i8", 2: "u16", 3: "i16", 4: "u32", 5: "i32", 6: "f32", 7: "bool", 8: "string", 9: "array",
             10: "u64", 11: "i64", 12: "f64"}  # fmt: skip
SPLIT = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


@dataclass
class _Header:
    """What has been read so far."""

    metadata: dict[str, Any] = field(default_factory=dict)
    rows: list[tuple[str, tuple[int, ...], int, int]] = field(default_factory=list)
    """Name, dimensions, ggml type and offset in the data of each tensor."""

    problems: list[Problem] = field(default_factory=list)
    version: int = 0
    alignment: int = 32
    count: int = 0
    last: bool = False
    """Whether the last pair is being read, and no tensor follows it."""

    start: int = 0
    """Where the data begins; 0 while the header is not read to its end."""


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the file begins with GGUF's magic."""
    return head[:4] == b"GGUF"


_LOOPED = 10_000_000
"""Elements for which the official reader takes minutes: a few microseconds each."""


def read(file: RegularFile) -> FileReport:
    """Metadata, tensors, and whether the file holds what they announce."""
    header = _Header()
    cursor = Cursor(file, 4)
    try:
        _walk(file, cursor, header)
    except CutShort as cut:
        read = count_of(len(header.metadata), "metadata entry", "metadata entries")
        read += f" and {len(header.rows):,} of {count_of(header.count, 'tensor')}"
        words = f"the header breaks at byte {cut.offset:,}: {cut}; {read} could be read"
        header.problems.append(_cut_problem(file, header, cut, words))
    tensors = _tensors(file, header)
    return FileReport(
        file.name,
        "gguf",
        file.size,
        tensors,
        header.metadata,
        tuple(header.problems),
        modified=file.modified,
        allocated=file.blocks,
    )


class Unseen(CutShort):
    """Bytes of a value that are not there and that the official reader (gguf 0.19) does not ask for by index."""


def _unseen(cut: CutShort) -> Unseen:
    return Unseen(str(cut), cut.offset)


class Endless(Damaged):
    """Elements beyond the file that the official reader (gguf 0.19) looks for one by one, without an error."""


def _cut_problem(file: RegularFile, header: _Header, cut: CutShort, words: str) -> Problem:
    """The end of a header that breaks; the official reader indexes an empty array there, unless nothing follows."""
    if isinstance(cut, Unseen) and header.last and header.version in (2, 3):
        return Problem("gguf-cut-unnoticed", words, file.name, cut.offset, fatal=False)
    code = "gguf-invalid-header" if isinstance(cut, Damaged) else "gguf-truncated"
    error = ("IndexError", "index 0 is out of bounds for axis 0 with size 0")
    return Problem(code, words, file.name, cut.offset, loader_error=None if isinstance(cut, Endless) else error)


def _walk(file: RegularFile, cursor: Cursor, header: _Header) -> None:
    """Version, counts, metadata, tensor rows, in the order of the file."""
    version = cursor.number("I")
    if version & 0xFFFF == 0:
        cursor.order = ">"
        version = int.from_bytes(version.to_bytes(4, "little"), "big")
        words = "is written for big-endian machines; llama.cpp reads it only on one"
        header.problems.append(Problem("gguf-byte-order", words, file.name, 4, fatal=False))
    header.version = version
    header.metadata["GGUF.version"] = version
    if version not in (2, 3):
        words = f"is of version {version}; readers of today take 2 and 3"
        error = ("ValueError", f"Sorry, file appears to be version {version} which we cannot handle")
        header.problems.append(Problem("gguf-version", words, file.name, 4, loader_error=error))
        if version != 1:
            return
    wide = "I" if version == 1 else "Q"
    header.count = cursor.number(wide)
    keys = cursor.number(wide)
    _check_counts(cursor, header.count, keys)
    for number in range(keys):
        header.last = header.count == 0 and number == keys - 1
        _pair(file, cursor, header, wide)
    _alignment(file, header)
    for _ in range(header.count):
        header.rows.append(_row(cursor, wide))
    header.start = -(-cursor.position // header.alignment) * header.alignment


def _check_counts(cursor: Cursor, tensors: int, keys: int) -> None:
    """A pair takes 13 bytes at least, a tensor 24: more than fit are no counts."""
    if keys > MAX_KEYS or keys * 9 > cursor.remaining:
        raise too_many(keys, "metadata entries", cursor)
    if tensors > MAX_TENSORS or tensors * 20 > cursor.remaining:
        raise too_many(tensors, "tensors", cursor)


def _text(cursor: Cursor, wide: str) -> str:
    """A string with its length; a long one is cut."""
    length = cursor.number(wide)
    if length > cursor.remaining:
        raise too_many(length, "bytes of text", cursor)
    data = cursor.take(min(length, MAX_TEXT))
    cursor.skip(length - len(data))
    text = data.decode("utf-8", "backslashreplace")
    return text if length <= MAX_TEXT else f"{text} … ({length:,} bytes)"


def _last_text(cursor: Cursor, wide: str) -> str:
    """A string after which the official reader looks for nothing of the same value."""
    at = cursor.position
    try:
        return _text(cursor, wide)
    except CutShort as cut:
        whole = cut.offset - at == (4 if wide == "I" else 8)
        raise (_unseen(cut) if whole else cut) from None


def _pair(file: RegularFile, cursor: Cursor, header: _Header, wide: str) -> None:
    """One key with its value."""
    at = cursor.position
    key = _text(cursor, wide)
    kind = cursor.number("I")
    value = _value(cursor, kind, wide)
    if key in header.metadata:
        words = f"the metadata names {printable(key, 80)} twice"
        header.problems.append(Problem("gguf-duplicate", words, file.name, at, fatal=False))
        return
    header.metadata[key] = value
    if key == "general.alignment" and kind != 4:
        words = f"general.alignment is a {_ELEMENTS[kind]}, not a u32"
        error = ("ValueError", "Bad type for general.alignment field")
        header.problems.append(Problem("gguf-invalid-header", words, file.name, at, loader_error=error))


def _value(cursor: Cursor, kind: int, wide: str) -> Any:
    if kind in _SCALARS:
        if cursor.remaining == 0:
            raise _unseen(too_many(_SIZES[kind], "bytes", cursor))
        if kind == 7:
            return cursor.number("B") != 0
        return cursor.number(_SCALARS[kind])
    if kind == _STRING:
        return _last_text(cursor, wide)
    if kind == _ARRAY:
        return _array(cursor, wide)
    raise Damaged(f"a metadata value of type {kind}, which no version has", cursor.position - 4)


def _array(cursor: Cursor, wide: str) -> Any:
    """An array: short ones whole, long ones as their count and first elements."""
    kind, count = cursor.number("I"), cursor.number(wide)
    depth = 0
    while kind == _ARRAY and count == 1 and depth < 4:
        kind, count, depth = cursor.number("I"), cursor.number(wide), depth + 1
    least = _SIZES.get(kind, 4 if wide == "I" else 8)
    if count * least > cursor.remaining:
        cause = too_many(count, "elements of an array", cursor)
        if kind in _SIZES and count > _LOOPED:
            raise Endless(f"{cause}; gguf's own reader looks for each of them and does not come back", cause.offset)
        if kind in _SIZES and cursor.remaining % least == 0:
            raise _unseen(cause)
        raise cause
    if kind in _SIZES:
        kept = [cursor.number(_SCALARS[kind] if kind != 7 else "B") for _ in range(min(count, _SHOWN))]
        cursor.skip((count - len(kept)) * least)
    elif kind == _STRING:
        kept = _strings(cursor, count, wide)
    else:
        raise Damaged(f"an array of {_ELEMENTS.get(kind, f'type {kind}')}s, which no reader takes", cursor.position)
    return kept if count <= _SHOWN else {"type": _ELEMENTS[kind], "count": count, "first": kept}


def _strings(cursor: Cursor, count: int, wide: str) -> list[str]:
    """The first strings of an array; the rest are stepped over."""
    kept = [_text(cursor, wide)[:256] for _ in range(min(count, _SHOWN, max(count - 1, 0)))]
    for _ in range(count - len(kept) - 1):
        cursor.skip(cursor.number(wide))
    if count:
        last = _last_text(cursor, wide)
        kept += [last[:256]] if len(kept) < _SHOWN else []
    return kept


def _alignment(file: RegularFile, header: _Header) -> None:
    value = header.metadata.get("general.alignment", 32)
    if type(value) is int and value > 0 and value & (value - 1) == 0:
        header.alignment = value
        return
    words = f"general.alignment is {printable(str(value), 40)}, not a power of two"
    error = ("ValueError", "Invalid alignment: must be a non-zero power of two")
    header.problems.append(Problem("gguf-invalid-header", words, file.name, loader_error=error))


def _row(cursor: Cursor, wide: str) -> tuple[str, tuple[int, ...], int, int]:
    """Name, dimensions, type and offset of one tensor."""
    name = _text(cursor, wide)
    count = cursor.number("I")
    if count > MAX_DIMENSIONS:
        raise Damaged(f"tensor {printable(name, 80)} has {count:,} dimensions", cursor.position - 4)
    shape = cursor.numbers(wide, count)
    return name, shape, cursor.number("I"), cursor.number("Q")


def _tensors(file: RegularFile, header: _Header) -> tuple[Tensor, ...]:
    """The rows as tensors, and the checks of their places."""
    names = {name for name, *_ in header.rows}
    if len(names) < len(header.rows):
        twice = sorted(set(_repeated([row[0] for row in header.rows])))
        error = ("ValueError", f"Found duplicated tensor with name {printable(twice[0], 80)}")
        words = f"{count_of(len(twice), 'tensor name')} occur more than once: {listing(twice)}"
        header.problems.append(Problem("gguf-duplicate", words, file.name, loader_error=error))
    extents = _extents(file, header)
    tensors = [
        Tensor(name, type_name(kind), shape, extent, file.name, header.start + offset)
        for (name, shape, kind, offset), extent in zip(header.rows, extents, strict=True)
    ]
    if header.start:
        header.problems.extend(_places(file, header, extents))
        header.problems.extend(_types(file, header))
        header.problems.extend(_split(file, header))
    return tuple(tensors)


def type_name(kind: int) -> str:
    """A ggml type in words, `type 999` where it is unknown."""
    return TYPES[kind][0] if kind in TYPES else f"type {kind}"


def _repeated(names: list[str]) -> list[str]:
    """Names that occurred before."""
    seen: set[str] = set()
    out: list[str] = []
    for name in names:
        if name in seen:
            out.append(name)
        seen.add(name)
    return out


def _extents(file: RegularFile, header: _Header) -> list[int]:
    """Bytes of each tensor; of an unknown type, what lies between it and the next."""
    starts = sorted({offset for *_, offset in header.rows})
    following = dict(zip(starts, [*starts[1:], max(file.size - header.start, 0)], strict=False))
    out: list[int] = []
    for _, shape, kind, offset in header.rows:
        if kind in TYPES:
            _, block, size = TYPES[kind]
            out.append(prod(shape) * size // block)
        else:
            out.append(max(following[offset] - offset, 0))
    return out


def _places(file: RegularFile, header: _Header, extents: list[int]) -> list[Problem]:
    """Tensors beyond the end, over one another, or off the alignment; bytes after the last."""
    problems: list[Problem] = []
    rows = header.rows
    ends = [header.start + row[3] + extent for row, extent in zip(rows, extents, strict=True)]
    lost = [row[0] for row, end in zip(rows, ends, strict=True) if end > file.size]
    if lost:
        needed = max(ends)
        missing = bytes_size(needed - file.size)
        words = f"the tensors reach to byte {needed:,}, the file has {file.size:,}: {missing} are missing"
        said = f"tensor '{printable(lost[0], 80)}' data is not within the file bounds, model is corrupted or incomplete"
        error = ("llama_model_load", f"error loading model: {said}")
        detail = f"{len(lost):,} of {count_of(len(rows), 'tensor')} incomplete: {listing(lost)}"
        problems.append(Problem("gguf-truncated", words, file.name, file.size, loader_error=error, detail=(detail,)))
    problems += _offsets(file, header, extents)
    last = -(-max(ends, default=header.start) // header.alignment) * header.alignment
    if not lost and last < file.size:
        words = f"{count_of(file.size - last, 'byte')} after the last tensor ends at {last:,}"
        problems.append(Problem("gguf-trailing-bytes", words, file.name, last, fatal=False))
    return problems


def _offsets(file: RegularFile, header: _Header, extents: list[int]) -> list[Problem]:
    """Tensors that do not follow one another: the gguf package reads them where they are, llama.cpp refuses the file.

    Mirrors `gguf_init_from_reader` of llama.cpp (`ggml/src/gguf.cpp`, commit 067d44f): each offset is the padded sum of
    the sizes before it.
    """
    expected = 0
    for (name, _, kind, offset), extent in zip(header.rows, extents, strict=True):
        if kind not in TYPES:
            return []
        if offset != expected:
            said = f"tensor '{printable(name, 80)}' has offset {offset}, expected {expected}"
            break
        expected += -(-extent // header.alignment) * header.alignment
    else:
        return []
    over = overlapping((row[3], extent, row[0]) for row, extent in zip(header.rows, extents, strict=True))
    odd = [row[0] for row in header.rows if row[3] % header.alignment]
    words = "the tensors do not follow one another"
    if over:
        words = overlap_words(over)
    elif odd:
        words = f"{count_of(len(odd), 'tensor')} off the alignment of {header.alignment}: {listing(odd)}"
    lines = (said, f"llama.cpp says: gguf_init_from_file: {said}; the gguf package reads them and says nothing")
    return [Problem("gguf-tensor-places", words, file.name, header.start + offset, fatal=False, detail=lines[1:])]


def _types(file: RegularFile, header: _Header) -> list[Problem]:
    """Types that the official reader does not know, and rows that are no whole number of blocks."""
    problems: list[Problem] = []
    unknown = sorted({kind for _, _, kind, _ in header.rows if kind not in TYPES or kind in REMOVED})
    if unknown:
        names = [row[0] for row in header.rows if row[2] in unknown]
        shown = ", ".join(f"{TYPES[kind][0]} ({kind})" if kind in TYPES else str(kind) for kind in unknown[:6])
        words = (
            f"{count_of(len(names), 'tensor')} of a type that readers of today do not take ({shown}): {listing(names)}"
        )
        error = ("ValueError", f"np.uint32({unknown[0]}) is not a valid GGMLQuantizationType")
        problems.append(Problem("gguf-unknown-type", words, file.name, loader_error=error))
    odd = [row[0] for row in header.rows if row[2] in TYPES and row[1] and row[1][0] % TYPES[row[2]][1]]
    if odd:
        words = f"{count_of(len(odd), 'tensor')} whose rows are no whole number of blocks: {listing(odd)}"
        problems.append(Problem("gguf-invalid-header", words, file.name))
    return problems


def _split(file: RegularFile, header: _Header) -> list[Problem]:
    """Parts of a split model that are not beside this one."""
    match = SPLIT.match(os.path.basename(file.name))
    count = header.metadata.get("split.count", 0)
    if match is None or type(count) is not int or count < 2:
        return []
    total = int(match["count"])
    if total != count:
        words = f"the name says {total} parts, the header {count}"
        return [Problem("gguf-split-mixed", words, file.name, fatal=False)]
    parent = file.path.parent
    names = (f"{match['stem']}-{number:05}-of-{total:05}.gguf" for number in range(1, total + 1))
    missing = [name for name in names if not os.path.lexists(parent / name)]
    if not missing:
        return []
    words = (
        f"is part {int(match['number'])} of {total}; {count_of(len(missing), 'part')} are not here: {listing(missing)}"
    )
    return [Problem("gguf-split", words, file.name, detail=tuple(missing[:20]))]
