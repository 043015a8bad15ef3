"""Tensor bundles: the index names every tensor with dtype, shape, shard, offset and size; shards are only measured.

Mirrors `tensorflow/core/util/tensor_bundle/tensor_bundle.cc` (2.21). `metadata` of an index's report:
`prefix`, `num_shards`, `endianness`, `form` (`object-based` for TensorFlow 2, `name-based` for TensorFlow 1),
`compressed`, `checksums` (`verified`, or `partly` where the index is very long), `shard_bytes` (by shard, what it must
have).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.formats.extents import Extent, overlap_problems, overlapping
from tui.core.formats.protobuf import VARINT, Source, WireError, fields
from tui.core.formats.tensorflow import dtypes
from tui.core.formats.tensorflow.entries import Entries, Entry
from tui.core.formats.tensorflow.table import Table, TableError
from tui.core.problems import Problem
from tui.core.tensors import Tensor
from tui.core.text import bytes_size, count_of, listing, printable

if TYPE_CHECKING:
    from tui.core.files import RegularFile

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_SLOT = "/.OPTIMIZER_SLOT/"
_FIRST = ("optimizer", "_optimizer", "beta1_power", "beta2_power", "global_step")
_LAST = ("/adam_", "/Adam", "/Momentum", "/RMSProp", "/Adagrad")
"""How a name or its last part begins that may match `_OPTIMIZER`: only such a one is held against it."""

_OPTIMIZER = re.compile(
    r"^(?:_?optimizer|optimizer\d*)/|^(?:beta[12]_power|global_step)$"
    r"|/(?:adam_[mv]|Adam(?:_1)?|Momentum|RMSProp(?:_1)?|Adagrad|AdamWeightDecay\w*)$"
)
"""Arrays of an optimizer: slots of TensorFlow 2, and the names that TensorFlow 1's optimizers and BERT's add."""


def shard_name(prefix: str, shard: int, count: int) -> str:
    """`prefix.data-00000-of-00001`."""
    return f"{prefix}.data-{shard:05d}-of-{count:05d}"


@dataclass
class Index:
    """What an index says."""

    shards: int = 1
    endianness: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    slices: list[tuple[str, Entry]] = field(default_factory=list)
    """The pieces of partitioned variables, under the variable's name."""

    ends: dict[int, int] = field(default_factory=dict)
    """By shard the number of bytes that it must have."""

    compressed: bool = False
    unchecked: bool = False


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the name is that of a bundle's index; its content is checked by `read`."""
    return name.endswith(".index") and size > 0


def read(file: RegularFile) -> FileReport:
    """The tensors that an index names; the shards are measured by whoever knows their directory."""
    report = FileReport(file.name, "tensor_bundle", file.size, modified=file.modified, allocated=file.blocks)
    try:
        index = read_index(file)
    except TableError as error:
        return report.with_problems(_damaged(file, error.offset, error.message, error.words))
    except WireError as error:
        return report.with_problems(_damaged(file, error.offset, error.message, "failed to parse entry"))
    prefix = file.name.removesuffix(".index")
    problems = _entry_problems(file, index)
    return FileReport(
        file.name, "tensor_bundle", file.size, _tensors(prefix, index), _metadata(prefix, index), problems,
        modified=file.modified, allocated=file.blocks,
    )  # fmt: skip


def _damaged(file: RegularFile, offset: int, message: str, words: str) -> Problem:
    """Damage of the index, with what `tf.train.load_checkpoint` and the loaders say."""
    code = "tensorflow-checksum" if "checksum" in words else "tensorflow-index-damaged"
    said = words
    if words and "bad magic" not in words and "too short" not in words:
        said = (
            f"Unable to read file ({file.path}). Perhaps the file is corrupt or was produced by a newer version of "
            f"TensorFlow with format changes (failed to seek to header entry): {words}"
        )
    return Problem(code, message, file.name, offset, loader_error=("OpError", said))


def read_index(file: RegularFile) -> Index:
    """Every entry of the index; raises `TableError` or `WireError` where it is damaged."""
    table = Table(file)
    index, read = Index(), Entries().read
    entries, ends = index.entries, index.ends
    first = True
    for key, value, at in table.entries():
        if first:
            first = False
            if key != b"":
                raise TableError(at, "has no header entry", "failed to seek to header entry")
            index.shards, index.endianness = _header(Source(value))
            continue
        entry = read(value, at)
        shard, end = entry.shard, entry.offset + entry.size
        if end > ends.get(shard, -1):
            ends[shard] = end
        if key[:1] == b"\0":  # a slice of a partitioned variable: its whole has an entry of its own
            index.slices.append((tensor_of(key), entry))
        else:
            entries[key.decode("utf-8", "backslashreplace")] = entry
    if first:
        raise TableError(0, "holds no entry at all", "failed to seek to header entry")
    index.compressed, index.unchecked = table.compressed, table.unchecked
    return index


def tensor_of(key: bytes) -> str:
    """The tensor of a table's key: plain, or the name inside the key of a slice (`EncodeTensorNameSlice`)."""
    if key[:1] == b"\0":
        key = key[1:].split(b"\0\1")[0].replace(b"\0\xff", b"\0").replace(b"\xff\0", b"\xff")
    return key.decode("utf-8", "backslashreplace")


def _header(source: Source) -> tuple[int, int]:
    """Number of shards, and byte order (0 little, 1 big)."""
    shards = endianness = 0
    for number, kind, value, _ in fields(source, 0, source.size):
        if number == 1 and kind == VARINT:
            shards = value
        elif number == 2 and kind == VARINT:
            endianness = value
    return shards, endianness


def _tensors(prefix: str, index: Index) -> tuple[Tensor, ...]:
    """The index's entries as tensors; a partitioned variable has no place of its own."""
    files = {shard: shard_name(prefix, shard, index.shards) for shard in index.ends}
    out = []
    for name, entry in index.entries.items():
        dtype, shape, size = dtypes.our_name(entry.dtype), entry.shape, entry.size
        place: int | None = entry.offset
        if entry.slices:
            size, place = prod(shape) * dtypes.ITEM_SIZES.get(entry.dtype, 0), None
        out.append(Tensor(name, dtype, shape, size, files[entry.shard], place, role=role_of(name)))
    return tuple(out)


def role_of(name: str) -> str:
    """`optimizer` for an optimizer's arrays, `bookkeeping` for the object graph and save counter."""
    if name == OBJECT_GRAPH or name.startswith("save_counter/"):
        return "bookkeeping"
    if _SLOT in name:
        return "optimizer"
    may_be = name.startswith(_LAST, name.rfind("/")) or name.startswith(_FIRST)
    return "optimizer" if may_be and _OPTIMIZER.search(name) else ""


def _metadata(prefix: str, index: Index) -> dict[str, Any]:
    return {
        "prefix": prefix,
        "num_shards": index.shards,
        "endianness": "big" if index.endianness == 1 else "little",
        "form": "object-based" if OBJECT_GRAPH in index.entries else "name-based",
        "compressed": index.compressed,
        "checksums": "partly" if index.unchecked else "verified",
        "shard_bytes": {shard_name(prefix, shard, index.shards): end for shard, end in sorted(index.ends.items())},
    }


def _entry_problems(file: RegularFile, index: Index) -> tuple[Problem, ...]:
    """Entries that name a shard that there is not, or whose size is not that of their shape."""
    beyond = {shard for shard in index.ends if not 0 <= shard < max(index.shards, 1)}
    wrong = [name for name, entry in index.entries.items() if entry.shard in beyond] if beyond else []
    if wrong:
        words = f"names shards beyond the {index.shards:,} that it announces: {listing(wrong)}"
        return (Problem("tensorflow-index-damaged", words, file.name, loader_error=("OpError", "")),)
    sizes = dtypes.ITEM_SIZES
    bad = [
        f"{printable(name)} has {entry.size:,} bytes, not those of {dtypes.name_of(entry.dtype)} {list(entry.shape)}"
        for name, entry in index.entries.items()
        if prod(entry.shape) * sizes.get(entry.dtype, 0) != entry.size and not entry.slices and entry.dtype in sizes
    ]
    if not bad:
        return _overlaps(file, index)
    return (
        Problem(
            "tensorflow-index-damaged", f"{count_of(len(bad), 'entry', 'entries')} do not fit their shapes", file.name,
            detail=tuple(bad[:5]), loader_error=("DataLossError", "Invalid size in bundle entry"),
        ),
    )  # fmt: skip


def _overlaps(file: RegularFile, index: Index) -> tuple[Problem, ...]:
    """Entries over one another in a shard, of which TensorFlow says nothing."""
    shards: dict[int, list[Extent]] = {}
    for name, entry in (*index.entries.items(), *index.slices):
        if not entry.slices:
            shards.setdefault(entry.shard, []).append((entry.offset, entry.size, name))
    prefix = file.name.removesuffix(".index")
    return tuple(
        problem
        for shard, extents in sorted(shards.items())
        for problem in overlap_problems(shard_name(prefix, shard, index.shards), overlapping(extents, shared=False))
    )


def ends_of(report: FileReport) -> dict[str, tuple[int, list[Tensor]]]:
    """By shard file the bytes that it must have, and its tensors in the order of their place."""
    ends: dict[str, int] = report.metadata.get("shard_bytes") or {}
    out: dict[str, tuple[int, list[Tensor]]] = {name: (end, []) for name, end in ends.items()}
    for tensor in report.tensors:
        if tensor.file in out:
            out[tensor.file][1].append(tensor)
    return out


def short_shard(name: str, size: int, needed: int, tensors: list[Tensor]) -> Problem:
    """A shard that ends before its last tensor."""
    lost = [tensor.name for tensor in tensors if tensor.offset is None or tensor.offset + tensor.nbytes > size]
    return Problem(
        "tensorflow-shard-truncated",
        f"has {size:,} bytes, the index wants {needed:,}: {bytes_size(needed - size)} are missing",
        name,
        size,
        loader_error=("IndexError", "Read less bytes than requested"),
        detail=(f"{len(lost):,} of {count_of(len(tensors), 'tensor')} cut off: {listing(lost)}",),
    )
