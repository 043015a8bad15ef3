"""fastText's `.bin` and `.ftz`: arguments, dictionary stepped over, the sizes of the two matrices.

Mirrors `fasttext.cc` (`checkModel`, `loadModel`), `args.cc`, `dictionary.cc` and `densematrix.cc` of fastText 0.9.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.formats.cursor import Cursor, CutShort, Damaged, too_many
from tui.core.formats.extents import trailing_problems
from tui.core.problems import Problem
from tui.core.tensors import Tensor
from tui.core.text import bytes_size

if TYPE_CHECKING:
    from tui.core.files import RegularFile

_MAGIC = b"\xba\x16O/"
_ARGUMENTS = ("dim", "ws", "epoch", "minCount", "neg", "wordNgrams", "loss", "model", "bucket", "minn", "maxn",
              "lrUpdateRate")  # fmt: skip
_MODELS = {1: "cbow", 2: "skipgram", 3: "supervised"}


class _Unnoticed(CutShort):
    """A matrix ends early: fastText reads what there is of it, and zeros."""


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the file begins with fastText's magic."""
    return head[:4] == _MAGIC


def read(file: RegularFile) -> FileReport:
    """Version, arguments, dictionary sizes, and the matrices of a model that is not quantized."""
    metadata: dict[str, Any] = {}
    tensors: list[Tensor] = []
    problems: tuple[Problem, ...] = ()
    try:
        cursor = Cursor(file, 4)
        _walk(cursor, file.name, metadata, tensors)
        if not metadata["quantized"]:
            problems = tuple(trailing_problems(file.name, file.size, cursor.position))
    except CutShort as cut:
        words = f"breaks at byte {cut.offset:,}: {cut}"
        if tensors:
            words = f"{words}; {bytes_size(file.size)} are there"
        error = ("ValueError", f"{file.name} has wrong file format!") if isinstance(cut, Damaged) else None
        code = "fasttext-cut-unnoticed" if isinstance(cut, _Unnoticed) else "fasttext-damaged"
        fatal = code == "fasttext-damaged"
        problems = (Problem(code, words, file.name, cut.offset, fatal, loader_error=error),)
    return FileReport(
        file.name,
        "fasttext",
        file.size,
        tuple(tensors),
        metadata,
        problems,
        modified=file.modified,
        allocated=file.blocks,
    )


def _walk(cursor: Cursor, file: str, metadata: dict[str, Any], tensors: list[Tensor]) -> None:
    version = cursor.number("i")
    metadata["version"] = version
    if version > 12 or version < 1:
        raise Damaged(f"version {version}; fastText 0.9 reads up to 12", 4)
    metadata.update(zip(_ARGUMENTS, cursor.numbers("i", 12), strict=True))
    metadata["model"] = _MODELS.get(metadata["model"], metadata["model"])
    metadata["t"] = cursor.number("d")
    size, words, labels = cursor.numbers("i", 3)
    tokens, pruned = cursor.numbers("q", 2)
    metadata.update(words=words, labels=labels, tokens=tokens)
    if size < 0 or size * 10 > cursor.remaining:
        raise too_many(size, "dictionary entries", cursor)
    for _ in range(size):
        _entry(cursor)
    cursor.skip(max(pruned, 0) * 8)
    quantized = cursor.number("?")
    metadata["quantized"] = quantized
    if quantized:
        return
    _matrix(cursor, "input", file, tensors)
    if not cursor.number("?"):
        _matrix(cursor, "output", file, tensors)


def _entry(cursor: Cursor) -> None:
    """A word that ends with NUL, its count in 8 bytes, its kind in one."""
    length = 0
    while True:
        chunk = cursor.peek(64)
        if not chunk:
            raise CutShort("ends inside the dictionary", cursor.position)
        end = chunk.find(b"\0")
        if end >= 0:
            cursor.skip(end + 1 + 9)
            return
        cursor.skip(len(chunk))
        length += len(chunk)
        if length > 1 << 20:
            raise Damaged("a word of more than a MiB", cursor.position)


def _matrix(cursor: Cursor, name: str, file: str, tensors: list[Tensor]) -> None:
    rows, columns = cursor.numbers("q", 2)
    if rows < 0 or columns < 0:
        raise Damaged(f"a matrix of {rows:,} times {columns:,}", cursor.position - 16)
    place, size = cursor.position, rows * columns * struct.calcsize("f")
    tensors.append(Tensor(name, "F32", (rows, columns), size, file, place))
    if size > cursor.remaining:
        cause = too_many(size, "bytes", cursor)
        raise cause if isinstance(cause, Damaged) else _Unnoticed(str(cause), cause.offset)
    cursor.skip(size)
