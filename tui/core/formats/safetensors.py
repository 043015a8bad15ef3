"""safetensors: the header alone, checked as the library checks it.

Mirrors `safetensors/src/tensor.rs` (0.8): `read_metadata`, then `Metadata::validate`. Every way in which the library
refuses a file becomes a `Problem` that carries the library's own words.
"""

from __future__ import annotations

from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from tui.core.checkpoint import FileReport
from tui.core.formats.safetensors_header import HeaderRefused, decode, is_plain
from tui.core.json_text import parse
from tui.core.problems import Problem
from tui.core.record import replace
from tui.core.tensors import DTYPE_BITS, Tensor
from tui.core.text import bytes_size, count_of, listing

if TYPE_CHECKING:
    from tui.core.files import RegularFile

MAX_HEADER = 100_000_000
"""The library's own limit (`MAX_HEADER_SIZE`)."""

_DTYPES = frozenset(
    [
        "BOOL",
        "F4",
        "F6_E2M3",
        "F6_E3M2",
        "U8",
        "I8",
        "F8_E5M2",
        "F8_E4M3",
        "F8_E8M0",
        "F8_E4M3FNUZ",
        "F8_E5M2FNUZ",
        "I16",
        "U16",
        "F16",
        "BF16",
        "I32",
        "U32",
        "F32",
        "C64",
        "F64",
        "I64",
        "U64",
    ]
)


_TOO_MANY_BYTES = 1 << 61
"""From so many bytes on a tensor's size in bits exceeds 64 bits."""

_BITS = {name: DTYPE_BITS[name] for name in _DTYPES}


_NO_SHAPE = (-1,)


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """One tensor of the header; `__metadata__` decodes to the defaults."""

    dtype: str = ""
    shape: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = _NO_SHAPE
    data_offsets: tuple[int, int] = (-1, -1)


class _Metadata(msgspec.Struct):
    """Only the free-text part of the header."""

    values: dict[str, str] | None = msgspec.field(default=None, name="__metadata__")


_ENTRIES = msgspec.json.Decoder(dict[str, _Entry])
_METADATA_FIRST = b'{"__metadata__":'
_TEXTS = msgspec.json.Decoder(dict[str, str])
_METADATA = msgspec.json.Decoder(_Metadata)


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the file begins as safetensors do: a plausible length, then `{`."""
    if len(head) < 9:
        return False
    length = int.from_bytes(head[:8], "little")
    return head[8:].lstrip(b" \t\r\n")[:1] == b"{" and 2 <= length <= max(MAX_HEADER * 4, size)


def read(file: RegularFile) -> FileReport:
    """The tensors that the header names, and every reason for which the library would refuse the file."""
    report = FileReport(file.name, "safetensors", file.size, modified=file.modified)
    if file.size < 8:
        return report.with_problems(_too_small(file))
    length = int.from_bytes(file.head(8), "little")
    refused = _length_problem(file, length)
    if refused is not None:
        return report.with_problems(refused)
    header = file.read(8, length)
    try:
        entries = _ENTRIES.decode(header)
        metadata = _metadata(header) if entries.pop("__metadata__", None) is not None else None
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError, ValueError):
        return _read_strictly(file, header)
    if not is_plain(header, len(entries), len(metadata) if metadata is not None else None):
        return _read_strictly(file, header)
    return _assemble(file, entries, metadata or {}, length).with_problems(*_unusable_path(file))


def _metadata(header: bytes) -> dict[str, str] | None:
    """The free text: mostly what comes first, up to the first brace that closes."""
    if header.startswith(_METADATA_FIRST):
        with suppress(msgspec.MsgspecError):
            return _TEXTS.decode(header[len(_METADATA_FIRST) : header.index(b"}") + 1])
    return _METADATA.decode(header).values


def _unusable_path(file: RegularFile) -> tuple[Problem, ...]:
    """The library takes paths as UTF-8 and refuses all others."""
    if not _has_surrogate(str(file.path)):
        return ()
    error = ("SafetensorError", f"Path {file.path} is not valid UTF-8")
    words = "has a path that is not valid UTF-8, which the library refuses"
    return (Problem("safetensors-path-not-utf8", words, file.name, loader_error=error),)


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _too_small(file: RegularFile) -> Problem:
    code = "file-empty-file" if file.size == 0 else "safetensors-truncated"
    message = "is empty (0 bytes)" if file.size == 0 else f"has {file.size} bytes; a header alone begins with 8"
    return Problem(code, message, file.name, 0, loader_error=_error("header too small"))


def _error(text: str) -> tuple[str, str]:
    """The exception that `safe_open` raises."""
    return ("SafetensorError", f"Error while deserializing header: {text}")


def _length_problem(file: RegularFile, length: int) -> Problem | None:
    """Why the header's length cannot be right, or `None`."""
    if length > MAX_HEADER:
        return Problem(
            "safetensors-header-over-100mb" if 8 + length <= file.size else "safetensors-invalid-header",
            f"header length {length:,} is above the library's limit of {MAX_HEADER:,} bytes",
            file.name,
            0,
            loader_error=_error("header too large"),
        )
    if 8 + length > file.size:
        return Problem(
            "safetensors-truncated",
            f"the header alone needs {8 + length:,} bytes, the file has {file.size:,}",
            file.name,
            0,
            loader_error=_error("invalid header length"),
        )
    return None


def _assemble(file: RegularFile, entries: dict[str, _Entry], metadata: dict[str, str], length: int) -> FileReport:
    """Tensors in the order of their bytes, and the checks of `Metadata::validate`."""
    start = 8 + length
    name = file.name
    tensors: list[Tensor] = []
    problems: list[Problem] = []
    ordered = list(entries.items())
    expected = _take_sound(tensors, ordered, name, start, 0)
    if len(tensors) < len(ordered):
        tensors.clear()
        ordered.sort(key=_begin)
        expected = _take_sound(tensors, ordered, name, start, 0)
    while len(tensors) < len(ordered):
        key, entry = ordered[len(tensors)]
        bad = None if problems else _entry_problem(file, key, entry, expected)
        if bad is not None:
            problems.append(bad)
        tensors.append(_odd_tensor(name, key, entry, start))
        expected = _take_sound(tensors, ordered, name, start, entry.data_offsets[1])
    if not problems:
        size = _size_problem(file, ordered, start, expected)
        if size is not None:
            problems.append(size)
    return FileReport(
        name, "safetensors", file.size, tuple(tensors), dict(metadata), tuple(problems), modified=file.modified
    )


def _take_sound(tensors: list[Tensor], ordered: list[tuple[str, _Entry]], file: str, start: int, expected: int) -> int:
    """Add the next entries to `tensors` as long as each begins where the one before ends and fills its bytes.

    Gives where the last one ends; `expected` is where the next one is to begin.
    """
    bits_of = _BITS.get
    for index in range(len(tensors), len(ordered)):
        key, entry = ordered[index]
        begin, end = entry.data_offsets
        nbytes, shape, dtype = end - begin, entry.shape, entry.dtype
        if begin != expected or not 0 < nbytes < _TOO_MANY_BYTES or prod(shape) * bits_of(dtype, 0) != nbytes * 8:
            break
        tensors.append(Tensor(key, dtype, shape, nbytes, file, start + begin))
        expected = end
    return expected


def _odd_tensor(file: str, key: str, entry: _Entry, start: int) -> Tensor:
    """An entry that is not as it should be, shown as far as it goes; `start` is where the data begin."""
    begin, end = entry.data_offsets
    shape = entry.shape if entry.shape != _NO_SHAPE else ()
    return Tensor(key, entry.dtype or "unknown", shape, max(end - begin, 0), file, start + max(begin, 0))


def _begin(item: tuple[str, _Entry]) -> tuple[int, int]:
    return item[1].data_offsets


def _entry_problem(file: RegularFile, key: str, entry: _Entry, expected: int) -> Problem | None:
    """Why one entry is refused, or `None`."""
    begin, end = entry.data_offsets
    if entry.shape == _NO_SHAPE:
        return _bad(file, key, "has no shape", _json_error("missing field `shape`"))
    if entry.dtype not in _DTYPES:
        words = f"unknown variant `{entry.dtype}`, expected one of `BOOL`, `F4`, …"
        return _bad(file, key, f"has dtype {entry.dtype or 'missing'}, unknown to safetensors 0.8", _json_error(words))
    if begin != expected or end < begin:
        return _bad(
            file,
            key,
            f"takes bytes {begin:,} to {end:,} of the data, where {expected:,} was the next free byte",
            _error(f"invalid offset for tensor `{key}`"),
        )
    bits = _bits(entry)
    if bits is None:
        said = "overflow computing buffer size from shape and/or element type"
        return _bad(file, key, "has a shape whose size overflows 64 bits", _error(said))
    if bits % 8:
        said = "The slice is slicing for subbytes dtypes, and the slice does not end up at a byte boundary"
        return _bad(file, key, f"{entry.dtype} {list(entry.shape)} ends within a byte", _error(said))
    if bits // 8 != end - begin:
        return _bad(
            file,
            key,
            f"{entry.dtype} {list(entry.shape)} needs {bits // 8:,} bytes, its offsets give {end - begin:,}",
            _error("invalid shape, data type, or offset for tensor"),
        )
    return None


def _bits(entry: _Entry) -> int | None:
    """Bits of the data as `Metadata::validate` multiplies them; `None` where a step exceeds 64 bits."""
    count = 1
    for size in entry.shape:
        count *= size
        if size >= 1 << 64 or count >= 1 << 64:
            return None
    bits = count * DTYPE_BITS[entry.dtype]
    return bits if bits < 1 << 64 else None


def _json_error(words: str) -> tuple[str, str]:
    return _error(f"invalid JSON in header: {words}")


def _bad(file: RegularFile, key: str, words: str, loader: tuple[str, str]) -> Problem:
    """An entry of the header that the library refuses."""
    return Problem("safetensors-invalid-header", f"tensor {key} {words}", file.name, 8, loader_error=loader)


def _size_problem(file: RegularFile, ordered: list[tuple[str, _Entry]], start: int, end: int) -> Problem | None:
    """Data that the file lacks, or bytes beyond the last tensor."""
    promised = start + end
    if promised == file.size:
        return None
    if promised < file.size:
        return Problem(
            "safetensors-trailing-bytes",
            f"{count_of(file.size - promised, 'byte')} after the last tensor ends at {promised:,}",
            file.name,
            promised,
            loader_error=_error("incomplete metadata, file not fully covered"),
        )
    lost = [key for key, entry in ordered if start + entry.data_offsets[1] > file.size]
    return Problem(
        "safetensors-truncated",
        f"header promises {promised:,} bytes, the file has {file.size:,}: "
        f"{bytes_size(promised - file.size)} are missing",
        file.name,
        file.size,
        loader_error=_error("incomplete metadata, file not fully covered"),
        detail=(f"{len(lost):,} of {count_of(len(ordered), 'tensor')} incomplete: {listing(lost)}",),
    )


def _read_strictly(file: RegularFile, header: bytes) -> FileReport:
    """A header of another form than `save_file` writes: what serde makes of it, or why it refuses."""
    try:
        fields, metadata = decode(header, _DTYPES)
    except HeaderRefused as refused:
        report = FileReport(file.name, "safetensors", file.size, modified=file.modified)
        if refused.offset is not None:
            return report.with_problems(_not_json(file, header, str(refused), refused.offset, refused.utf8))
        return replace(report, tensors=_loose_tensors(file, header)).with_problems(_odd_form(file, str(refused)))
    entries = {key: _Entry(*values) for key, values in fields.items()}
    return _assemble(file, entries, metadata, len(header)).with_problems(*_unusable_path(file))


def _odd_form(file: RegularFile, reason: str) -> Problem:
    """The header is JSON, and not of the form that the library wants."""
    words = f"the header does not have the form of one: {reason}"
    return Problem("safetensors-invalid-header", words, file.name, 8, loader_error=_json_error(reason))


def _loose_tensors(file: RegularFile, header: bytes) -> tuple[Tensor, ...]:
    """Whatever of a refused header has the form of a tensor."""
    value = parse(header).value
    items = value.items() if isinstance(value, dict) else ()
    return tuple(found for key, item in items if (found := _loose(file, key, item, 8 + len(header))) is not None)


def _not_json(file: RegularFile, header: bytes, reason: str, offset: int, utf8: bool) -> Problem:
    """The header is no JSON; NUL padding and zeroed files are told apart."""
    stripped = header.rstrip(b"\0")
    if not stripped:
        return Problem(
            "safetensors-invalid-header", "the header is all zero bytes", file.name, 8, loader_error=_json_error(reason)
        )
    if stripped != header and parse(stripped).error is None:
        return Problem(
            "safetensors-nul-padding",
            f"the header is padded with {len(header) - len(stripped)} NUL bytes; the format wants spaces",
            file.name,
            8 + len(stripped),
            loader_error=_json_error("trailing characters"),
        )
    kind = "invalid JSON in header" if utf8 else "invalid UTF-8 in header"
    return Problem(
        "safetensors-invalid-header",
        f"the header is no JSON: {reason} at byte {8 + offset:,}",
        file.name,
        8 + offset,
        loader_error=_error(f"{kind}: {reason}"),
    )


def _loose(file: RegularFile, key: Any, value: Any, start: int) -> Tensor | None:
    """A tensor from an entry of any form, or `None` where it is not one."""
    if key == "__metadata__" or not isinstance(value, dict):
        return None
    shape, offsets = value.get("shape"), value.get("data_offsets")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        return None
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(item) is int for item in offsets):
        return None
    nbytes = max(offsets[1] - offsets[0], 0)
    return Tensor(str(key), str(value.get("dtype")), tuple(shape), nbytes, file.name, start + max(offsets[0], 0))
