"""`ckptriage inspect`: what is in the files, without a loader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tui.cli import cache, clone
from tui.cli.common import json_option, one_checkpoint, write_json, write_text
from tui.core.diagnosis import tensorflow_calls as calls
from tui.core.json_text import finite
from tui.core.lfs_clone import concerns, read_clone, root_of
from tui.core.report.outline import outline
from tui.core.statistics import figures, statistics
from tui.core.statistics import to_json as statistics_json
from tui.core.text import bytes_size, count_of, printable, shape_text
from tui.errors import UsageError

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint


class _Row(msgspec.Struct, gc=False):
    """A tensor as the contract has it; a dictionary takes three times as long to make."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    bytes: int


@click.command("inspect")
@click.argument("path")
@click.option("--statistics", "tensor", metavar="TENSOR", help="Read this tensor: extremes, mean, histogram.")
@json_option
def command(path: str, tensor: str | None, as_json: bool) -> int:
    """Format, files, metadata and tensors; of a hub cache its repositories. Exit: 0, 1 unreadable, 2 no such path."""
    repositories = cache.cached(Path(path))
    if repositories:
        if as_json:
            write_json(cache.to_json(path, repositories))
        else:
            write_text(cache.to_text(path, repositories))
        return 1 if any(revision.dangling for item in repositories for revision in item.revisions) else 0
    checkpoint = one_checkpoint(path)
    root = root_of(checkpoint.root.absolute())
    here = read_clone(root) if root is not None else None
    if here is not None and not concerns(here, checkpoint.location.absolute()):
        here = None
    read = statistics(checkpoint, tensor) if tensor is not None else None
    if tensor is not None and read is None:
        raise UsageError(f"there is no tensor {printable(tensor, 120)} in {printable(path, 120)}")
    if as_json:
        more = {} if read is None else {"statistics": statistics_json(read)}
        if here is not None:
            more["git_lfs"] = clone.to_json(here)
        write_json({**to_json(checkpoint), **more})
    elif read is not None:
        write_text("".join(f"{title:<12}{value}\n" for title, value in figures(read)))
    else:
        write_text(to_text(checkpoint) + (clone.to_text(here) if here is not None else ""))
    return 1 if unreadable(checkpoint) else 0


def unreadable(checkpoint: Checkpoint) -> bool:
    """Whether nothing could be read, or a weight file is refused by its own format."""
    return (
        checkpoint.kind == "unknown"
        or any(file.fatal is not None for file in checkpoint.weight_files)
        or bool(checkpoint.weights.problems)
    )


def to_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """The contract's object."""
    metadata: dict[str, Any] = {}
    for file in checkpoint.files:
        if file.metadata:
            metadata[file.name] = file.metadata
    if len(metadata) == 1 and len(checkpoint.files) == 1:
        metadata = next(iter(metadata.values()))
    tensors = [tensor for file in checkpoint.files for tensor in file.tensors]
    files = [{"path": file.name, "format": file.format, "bytes": file.size} for file in checkpoint.files]
    files += [
        {"path": name, "format": "json", "bytes": len(document.text.encode("utf-8", "surrogateescape"))}
        for name, document in checkpoint.json_files.items()
    ]
    way = calls.expected(checkpoint)
    more = {} if way is None else {"call": {"inputs": calls.input_lines(way), "program": calls.snippet(checkpoint)}}
    return {
        **more,
        "schema": 1,
        "path": checkpoint.path,
        "kind": checkpoint.kind,
        "files": files,
        "metadata": finite(metadata),
        "tensors": [_Row(one.name, one.dtype, one.shape, one.file, one.nbytes) for one in tensors],
        "problems": [
            {"file": problem.file, "message": problem.message, "offset": problem.offset, "rule": problem.code}
            for problem in checkpoint.all_problems()
        ],
    }


def to_text(checkpoint: Checkpoint) -> str:
    """The same for reading."""
    lines = [f"{printable(checkpoint.path, 240)}  {checkpoint.kind}"]
    for file in checkpoint.files:
        lines.append(f"  {printable(file.name, 120)}  {file.format}  {bytes_size(file.size)}")
        lines.extend(f"      {line}" for line in outline(file.metadata))
    for problem in checkpoint.all_problems():
        where = f" at byte {problem.offset:,}" if problem.offset is not None else ""
        lines.append(f"  ✗ {printable(problem.file or '', 120)}{where}: {printable(problem.message)}")
    lines.extend(f"  {line}" for line in calls.description(checkpoint))
    tensors = [tensor for file in checkpoint.files for tensor in file.tensors]
    lines.append(f"  {count_of(len(tensors), 'tensor')}, {count_of(checkpoint.parameters, 'parameter')}")
    lines.extend(
        f"    {printable(tensor.dtype, 16):<8} {shape_text(tensor.shape):<20} {printable(tensor.name, 200)}"
        for tensor in tensors
    )
    return "\n".join(lines) + "\n"
