"""Arrays of an Orbax checkpoint: Zarr headers with shape and dtype, each in a directory of its own or in an OCDBT.

The header is `.zarray` (Zarr 2) or `zarr.json` (Zarr 3). The chunks are compressed; they are measured, not read. What
`_METADATA` announces (orbax-checkpoint 0.12: keys joined by dots) and no header describes is missing.
"""

from __future__ import annotations

import os
import re
from math import prod
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.files import FileProblem, read_small
from tui.core.formats.numpy_dtypes import BadHeader, dtype_of
from tui.core.formats.ocdbt import MANIFEST, Listing, read_database
from tui.core.formats.zarr_chunks import chunk_problems
from tui.core.json_text import parse
from tui.core.problems import Problem
from tui.core.record import replace
from tui.core.tensors import TORCH_DTYPES, Tensor, bytes_of
from tui.core.text import count_of, printable

if TYPE_CHECKING:
    from pathlib import Path

HEADERS = (".zarray", "zarr.json")
MAX_ARRAYS = 20_000
MAX_HEADER = 1 << 16
MAX_METADATA = 16 << 20
_PROCESS = re.compile(r"^ocdbt\.process_\d{1,6}$")
_STORED = frozenset({"jax.Array", "np.ndarray", "scalar"})
"""Kinds of leaves that Orbax stores as arrays (`value_type` in `_METADATA`)."""


def read_arrays(root: Path, item: str) -> list[FileReport]:
    """The arrays of one item of an Orbax checkpoint (empty for the directory itself), none where it has none."""
    place = root / item if item else root
    where = f"{item}/" if item else ""
    try:
        names = sorted(entry.name for entry in os.scandir(place) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
    reports = _databases(place, where, names)
    plain = _directories(place, where, names)
    if plain is not None:
        reports.append(replace(plain, name=item or "."))
    if reports and not any(problem.code == "orbax-not-read" for file in reports for problem in file.problems):
        held = {tensor.name for file in reports for tensor in file.tensors}
        absent = _announced(place, where) - held
        if absent:
            shown = tuple(f"{name} is announced and has no header" for name in sorted(absent)[:6])
            words = f"announces {count_of(len(absent), 'array')} more than there are"
            missing = Problem("orbax-array-missing", words, f"{where}_METADATA", detail=shown)
            reports[0] = reports[0].with_problems(missing)
    return reports


def _databases(place: Path, where: str, names: list[str]) -> list[FileReport]:
    """The merged database; where that cannot be read, or was never written, those of the processes."""
    reports: list[FileReport] = []
    if os.path.lexists(place / MANIFEST):
        reports = _database(place, where)
        if reports[0].tensors:
            return reports
    for name in names:
        if _PROCESS.match(name):
            reports += _database(place / name, f"{where}{name}/")
    return reports


def _database(place: Path, where: str) -> list[FileReport]:
    """One database: its manifest with the arrays, then its data files by their size."""
    listing = read_database(place, where, lambda key: key.rpartition("/")[2] in HEADERS)
    tensors, problems = _listed(listing, where + MANIFEST)
    try:
        size = os.stat(place / MANIFEST).st_size
    except OSError:
        size = 0
    facts = {"arrays": len(tensors), "keys": listing.keys, "data_files": len(listing.held)}
    manifest = FileReport(where + MANIFEST, "ocdbt", size, tuple(tensors), facts, tuple(listing.problems + problems))
    return [manifest, *(FileReport(where + path, "ocdbt_data", held) for path, held in listing.held.items())]


def _listed(listing: Listing, file: str) -> tuple[list[Tensor], list[Problem]]:
    """The arrays whose headers a database holds."""
    tensors: list[Tensor] = []
    problems: list[Problem] = []
    for key, data in listing.values.items():
        name = key.rpartition("/")[0]
        try:
            tensors.append(_array(data, name, file))
        except BadHeader as bad:
            problems.append(Problem("orbax-array-header", f"{name} has no header of a Zarr array: {bad}", file, 0))
    return tensors, problems


def _directories(place: Path, where: str, names: list[str]) -> FileReport | None:
    """Arrays that are directories of chunks, `None` where there is none."""
    tensors: list[Tensor] = []
    problems: list[Problem] = []
    size = 0
    for name in names[:MAX_ARRAYS]:
        header = next((item for item in HEADERS if os.path.lexists(place / name / item)), None)
        if header is None:
            continue
        file = f"{where}{name}/{header}"
        try:
            data = read_small(place / name / header, file, MAX_HEADER)
            tensors.append(_array(data, name, file))
            problems += chunk_problems(place / name, data, tensors[-1])
        except FileProblem as problem:
            problems.append(problem.problem)
        except BadHeader as bad:
            problems.append(Problem("orbax-array-header", f"is no header of a Zarr array: {bad}", file, 0))
        size += _bytes_below(place / name)
    if not tensors and not problems:
        return None
    return FileReport(".", "zarr", size, tuple(tensors), {}, tuple(problems))


def _array(data: bytes, name: str, where: str) -> Tensor:
    """Shape and dtype of one array; `BadHeader` where they are none."""
    document = parse(data)
    value: Any = document.value
    if document.error is not None or not isinstance(value, dict):
        raise BadHeader(document.error.message if document.error is not None else "it is no object")
    shape, dtype = value.get("shape"), value.get("data_type", value.get("dtype"))
    if not isinstance(shape, list) or len(shape) > 64 or not all(type(side) is int and side >= 0 for side in shape):
        raise BadHeader(f"its shape is {printable(str(shape), 80)}")
    ours = TORCH_DTYPES.get(dtype) if isinstance(dtype, str) else None
    if ours is None:
        ours, _ = dtype_of(dtype)
    sides = tuple(shape)
    nbytes = bytes_of(ours, sides)
    return Tensor(name, ours, sides, prod(sides) if nbytes is None else nbytes, where)


def _announced(place: Path, where: str) -> set[str]:
    """Names of the arrays that `_METADATA` lists, none where it is not there or says nothing of them."""
    try:
        value: Any = parse(read_small(place / "_METADATA", f"{where}_METADATA", MAX_METADATA)).value
    except FileProblem:
        return set()
    tree = value.get("tree_metadata") if isinstance(value, dict) else None
    out: set[str] = set()
    for leaf in tree.values() if isinstance(tree, dict) else ():
        keys, about = (leaf.get("key_metadata"), leaf.get("value_metadata")) if isinstance(leaf, dict) else (None, None)
        if isinstance(keys, list) and isinstance(about, dict) and about.get("value_type") in _STORED:
            parts = [item.get("key") for item in keys if isinstance(item, dict)]
            out.add(printable(".".join(str(part) for part in parts), 1000))
    return out


def _bytes_below(place: Path) -> int:
    """Bytes of the chunks; Zarr 3 puts them below `c`."""
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
    return total
