"""Directories of TensorFlow: a SavedModel with its variables and assets, and checkpoints by their prefix.

Data shards are measured and never read, so that a model of gigabytes on a slow disk is looked at in kilobytes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.files import FileProblem, open_regular, read_small
from tui.core.formats.extents import trailing_problems
from tui.core.formats.protobuf import VARINT, Source, WireError, fields
from tui.core.formats.tensorflow import bundle, saved_model, v1_checkpoint
from tui.core.formats.tensorflow.names import SHARD, Parts, prefixes, v1_names
from tui.core.problems import Problem
from tui.core.record import replace
from tui.core.text import listing, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from tui.core.files import RegularFile

MODULE_NAME = "tfhub_module.pb"
VARIABLES = "variables/variables"
_MAX_SHARDS = 10_000
_POINTER = b"version https://git-lfs"
_LATEST = re.compile(r'^model_checkpoint_path:\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)
_READS_ASSETS = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "ReadFile")
"""Ops that open an asset when the model is initialised."""


def read_saved_model(root: Path, entries: frozenset[str]) -> Parts:
    """A SavedModel: its protobuf, the bundle under `variables/`, and whether every asset is there."""
    if saved_model.NAME not in entries:
        words = "is a SavedModel as text, which TensorFlow reads and this program does not"
        note = Problem("tensorflow-pbtxt", words, "saved_model.pbtxt", fatal=False)
        return Parts(_module_kind(entries), (FileReport("saved_model.pbtxt", "text", 0),), (note,))
    report = guarded(root / saved_model.NAME, saved_model.NAME, saved_model)
    files, problems = [report], []
    graphs = report.metadata.get("meta_graphs") or []
    inside = _listing(root / "variables")
    if inside:
        files += _bundle_files(root, VARIABLES, frozenset(f"variables/{name}" for name in inside))
    if not any(file.name == f"{VARIABLES}.index" for file in files) and _wants_variables(graphs):
        problems.append(_no_index(root, f"{VARIABLES}.index", bool(inside)))
    problems += _assets(root, graphs)
    module = _module_format(root) if MODULE_NAME in entries else None
    extra: dict[str, Any] = {
        "hub_module_format": module,
        "keras_metadata": "keras_metadata.pb" in entries,
        "fingerprint": "fingerprint.pb" in entries,
    }
    if MODULE_NAME in entries and report.metadata.get("format") == "tensorflow 1 saved model":
        extra["format"] = "tensorflow 1 hub module"
    files[0] = replace(report, metadata={**report.metadata, **extra})
    return Parts(_module_kind(entries), tuple(files), tuple(problems))


def _module_kind(entries: frozenset[str]) -> str:
    return "tensorflow_hub_module" if MODULE_NAME in entries else "tensorflow_saved_model"


def guarded(path: Path, name: str, reader: ModuleType) -> FileReport:
    """`path` by one reader; what is no regular file, empty, a pointer or a page is reported as that."""
    from tui.core.formats import imposters

    def read(file: RegularFile) -> FileReport:
        head = file.head(512)
        if imposters.matches(head, file.name, file.size):
            return imposters.read(file)
        report: FileReport = reader.read(file)
        return report

    return _opened(path, name, read)


def _opened(path: Path, name: str, read: Callable[[RegularFile], FileReport]) -> FileReport:
    try:
        with open_regular(path, name) as file:
            return read(file)
    except FileProblem as problem:
        return FileReport(name, "unreadable", 0, problems=(problem.problem,))
    except Exception as error:  # the seam to a reader: whatever it meets becomes a finding
        words = f"could not be read: {type(error).__name__}: {printable(str(error), 200)}"
        return FileReport(name, "unreadable", 0, problems=(Problem("file-unreadable", words, name),))


def _listing(path: Path) -> list[str]:
    """Names in a directory, none where there is none."""
    try:
        with os.scandir(path) as found:
            return [entry.name for _, entry in zip(range(_MAX_SHARDS), found, strict=False)]
    except OSError:
        return []


def _module_format(root: Path) -> int | None:
    """`ModuleDef.format` (1): 3 is the only one there ever was."""
    try:
        data = read_small(root / MODULE_NAME, MODULE_NAME, 1 << 16)
        for number, kind, value, _ in fields(Source(data), 0, len(data)):
            if number == 1 and kind == VARINT:
                return value
    except (FileProblem, WireError):
        return None
    return 0


def _wants_variables(graphs: list[dict[str, Any]]) -> bool:
    """TensorFlow 2 always restores; TensorFlow 1 only where the graph has a saver."""
    return any(graph.get("object_graph") or graph.get("saver") for graph in graphs)


def _no_index(root: Path, name: str, others: bool) -> Problem:
    stem = root / name.removesuffix(".index")
    words = (
        f"Unsuccessful TensorSliceReader constructor: Failed to find any matching files for {stem}\n You may be trying "
        "to load on a different device from the computational device. Consider setting the `experimental_io_device` "
        "option in `tf.saved_model.LoadOptions` to the io_device such as '/job:localhost'."
    )
    message = (
        "is missing: the data is here, the list of what is in it is not" if others else "is missing, with all data"
    )
    return Problem("tensorflow-index-missing", message, name, loader_error=("FileNotFoundError", words))


def _assets(root: Path, graphs: list[dict[str, Any]]) -> list[Problem]:
    """Files that the graph names and that are not in `assets/`."""
    wanted = list(dict.fromkeys(name for graph in graphs for name in graph.get("assets", [])))
    ops = {op for graph in graphs for op in graph.get("ops", [])}
    opened = not ops.isdisjoint(_READS_ASSETS)
    out: list[Problem] = []
    for name in wanted[:1000]:
        inside = not os.path.isabs(name) and ".." not in Path(name).parts
        if inside and (root / "assets" / name).exists():
            continue
        shown = f"assets/{name}"
        if not inside:
            message = "is named by the graph and lies outside of the model's directory"
        else:
            message = "is named by the graph and is not there" + (
                "; a table is filled from it at load" if opened else ""
            )
        error = ("FileNotFoundError", f"Graph execution error: … {root / shown}; No such file or directory")
        out.append(
            Problem("tensorflow-asset-missing", message, shown, fatal=opened, loader_error=error if opened else None)
        )
    return out


def _bundle_files(root: Path, prefix: str, entries: frozenset[str]) -> list[FileReport]:
    """The index and the shards of one bundle, measured against each other."""
    index_name = f"{prefix}.index"
    shards = sorted(name for name in entries if (match := SHARD.match(name)) and match["prefix"] == prefix)
    if index_name not in entries:
        return [_measured(root, name, None, []) for name in shards]
    report = guarded(root / index_name, index_name, bundle)
    needed = bundle.ends_of(report)
    count = report.metadata.get("num_shards")
    problems = list(_missing_shards(root, prefix, count, entries, needed)) if isinstance(count, int) else []
    out = [report.with_problems(*problems)]
    return out + [_measured(root, name, *needed.get(name, (None, []))) for name in shards]


def _missing_shards(
    root: Path, prefix: str, count: int, entries: frozenset[str], needed: dict[str, Any]
) -> Iterable[Problem]:
    """Shards that the index announces and that are not there; foreign numbers of shards are told apart."""
    wanted = {bundle.shard_name(prefix, shard, count) for shard in range(min(count, _MAX_SHARDS))} & set(needed)
    absent = sorted(wanted - entries)
    if not absent:
        return
    others = sorted({match["count"] for name in entries if (match := SHARD.match(name)) and match["prefix"] == prefix})
    found = f"; here are shards of a set of {', '.join(str(int(other)) for other in others[:3])}" if others else ""
    lost = sum(len(needed[name][1]) for name in absent)
    yield Problem(
        "tensorflow-shard-missing",
        f"{listing(absent)} {'is' if len(absent) == 1 else 'are'} missing, with {lost:,} tensors{found}",
        f"{prefix}.index",
        loader_error=("OpError", f"{root / absent[0]}; No such file or directory"),
        detail=tuple(absent[:20]),
    )


def _measured(root: Path, name: str, needed: int | None, tensors: list[Any]) -> FileReport:
    """A data shard: its size against what the index wants of it."""

    def read(file: RegularFile) -> FileReport:
        report = FileReport(name, "tensor_bundle_data", file.size, modified=file.modified, allocated=file.blocks)
        if file.size < 1024 and file.head(64).startswith(_POINTER):
            words = f"is a git-lfs pointer of {file.size} bytes, not the data"
            error = ("IndexError", "Read less bytes than requested")
            return report.with_problems(Problem("lfs-pointer-pickle", words, name, 0, loader_error=error))
        if needed is not None and file.size < needed:
            return report.with_problems(bundle.short_shard(name, file.size, needed, tensors))
        return report.with_problems(*trailing_problems(name, file.size, needed)) if needed is not None else report

    return _opened(root / name, name, read)


def read_checkpoint(root: Path, entries: frozenset[str], prefix: str | None = None) -> Parts:
    """A checkpoint without a model: the bundle of `prefix`, else the newest one, or a table of the time before."""
    found = prefixes(entries)
    latest, problems = _latest(root, entries, found)
    old = v1_names(entries)
    if not found and old and prefix is None:
        chosen = latest if latest in old else old[-1]
        return Parts("tensorflow_checkpoint", (guarded(root / chosen, chosen, v1_checkpoint),), problems)
    chosen = prefix if prefix is not None else latest if latest in found else found[-1] if found else ""
    files = _bundle_files(root, chosen, entries)
    listed = list(problems) if prefix is None else []
    if not any(file.name == f"{chosen}.index" for file in files):
        listed.append(_no_index(root, f"{chosen}.index", bool(files)))
    others = [name for name in found if name != chosen]
    if files and others:
        files[0] = replace(files[0], metadata={**files[0].metadata, "other_prefixes": others[:200]})
    return Parts("tensorflow_checkpoint", tuple(files), tuple(listed))


def _latest(root: Path, entries: frozenset[str], found: tuple[str, ...]) -> tuple[str, tuple[Problem, ...]]:
    """The prefix that the `checkpoint` file names, and whether it is here."""
    if "checkpoint" not in entries:
        return "", ()
    try:
        text = read_small(root / "checkpoint", "checkpoint", 1 << 22).decode("utf-8", "backslashreplace")
    except FileProblem:
        return "", ()
    match = _LATEST.search(text)
    if match is None:
        return "", ()
    path = match[1]
    name = path.rpartition("/")[2]
    if (name in found or name in v1_names(entries)) and (not os.path.isabs(path) or _there(path)):
        return name, ()
    where = "which is not on this machine" if os.path.isabs(path) else "of which there is no file here"
    problem = Problem(
        "tensorflow-ckpt-prefix", f"names {printable(path, 200)} as the latest, {where}", "checkpoint", fatal=False,
        detail=tuple(f"here: {printable(other)}" for other in found[:5]),
    )  # fmt: skip
    return name, (problem,)


def _there(path: str) -> bool:
    """Whether a prefix leads to an index or a table."""
    return os.path.exists(f"{path}.index") or os.path.exists(path)
