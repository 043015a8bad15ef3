"""What a directory is besides its weight files: components, modules, ranks, steps, as their names and indexes tell.

Each layout is one small function from the entries to a `Layout`, or `None`. Nothing below the first level is read
here but names and sizes; components are rolled up by whoever reads them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport, Layout, Part
from tui.core.files import FileProblem, read_small
from tui.core.record import Record
from tui.core.tensors import TORCH_DTYPES, Tensor, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tui.core.checkpoint import JsonFile

MAX_PARTS = 10_000
_ZERO = re.compile(r"^(?:bf16_|fp16_)?zero_pp_rank_(\d+)_mp_rank_(\d+)(?:_\d+)?_(optim|model)_states\.pt$")
_MODEL_STATES = re.compile(r"^mp_rank_(\d+)(?:_\d+)?_model_states\.pt$")
_MEGATRON = re.compile(r"^mp_rank_(\d{2,3})(?:_(\d{3}))?$")
_STEP = re.compile(r"^(?:global_step\d+|step\d+|epoch\d+)$")
_CONSOLIDATED = re.compile(r"^consolidated\.(\d{2,})\.(?:pth|safetensors)$")
_DISTCP = re.compile(r"^__(\d+)_\d+\.distcp$")
_RANKED = re.compile(r"^(?:pytorch_)?(?:model|optim|optimizer)_world_size_(\d+)_rank_(\d+)\.pt$")
_CHECKPOINT = re.compile(r"^checkpoint-(\d+)$")
_TFJS = re.compile(r"^group\d+-shard\d+of\d+(\.bin)?$")
_PLAIN_NAMES = frozenset({
    "config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", "README.md", "LICENSE", ".gitattributes",
})  # fmt: skip
"""What most models consist of: a directory that holds nothing else has no layout of its own."""

_TRAINING_STATE = frozenset({"optimizer.pt", "scheduler.pt", "rng_state.pth"})
"""What transformers' Trainer writes between the weights and `trainer_state.json` (`Trainer._save_checkpoint` 5.23)."""


def is_raw_shard(name: str) -> bool:
    """Whether a file holds TensorFlow.js's bytes without any header."""
    return _TFJS.match(name) is not None


def marks_directory(files: frozenset[str], directories: frozenset[str]) -> bool:
    """Whether the names make a directory one checkpoint in a layout of its own."""
    if ".metadata" in files and any(_DISTCP.match(name) for name in files):
        return True
    if any(_DISTCP.match(name) or _RANKED.match(name) or _ZERO.match(name) for name in files):
        return True
    if any(_MODEL_STATES.match(name) for name in files) or any(_CONSOLIDATED.match(name) for name in files):
        return True
    if any(_STEP.match(name) for name in directories) and files & {"latest", "zero_to_fp32.py"}:
        return True
    if any(_MEGATRON.match(name) for name in directories):
        return True
    if "model.json" in files and any(_TFJS.match(name) for name in files):
        return True
    if "Manifest.json" in files and "Data" in directories:
        return True
    return bool(files & {"_CHECKPOINT_METADATA", "manifest.ocdbt"})


class Entries(Record, frozen=True):
    """What lies in a directory."""

    root: Path
    names: frozenset[str]
    directories: Sequence[str]
    """The names of those that are directories, in order."""

    documents: Mapping[str, JsonFile]
    """Its JSON files that were read, by name."""


def read_layout(
    root: Path,
    names: frozenset[str],
    documents: Mapping[str, JsonFile],
    directories: frozenset[str] | None = None,
) -> Layout | None:
    """The first layout that the directory has, `None` where it has none of these; `directories` saves listing it."""
    if directories is not None and not directories and names <= _PLAIN_NAMES and not _is_step(root):
        return None
    below = _directories(root) if directories is None else sorted(directories)[:MAX_PARTS]
    entries = Entries(root, names, below, documents)
    for read in _LAYOUTS:
        layout = read(entries)
        if layout is not None:
            return layout
    return None


def _is_step(root: Path) -> bool:
    """Whether a directory is named as a step of the Trainer; `.` has the name of what it stands for."""
    return _CHECKPOINT.match(root.name or root.absolute().name) is not None


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _names(path: Path) -> frozenset[str]:
    """Entries of a directory below, empty where it cannot be listed."""
    try:
        return frozenset(os.listdir(path))
    except (OSError, ValueError):
        return frozenset()


def _directories(root: Path) -> list[str]:
    """Directories of `root`."""
    try:
        with os.scandir(root) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())[:MAX_PARTS]
    except OSError:
        return []


def _gaps(numbers: set[int]) -> list[int]:
    """What is missing of 0 to the highest; at most a thousand."""
    return [number for number in range(min(max(numbers, default=-1) + 1, 100_000)) if number not in numbers][:1000]


def _items(value: Any) -> list[Any]:
    """A list from a file, empty where it is none."""
    return value if isinstance(value, list) else []


def _plain_name(name: Any) -> bool:
    """Whether a name from a file stays inside its directory."""
    if not isinstance(name, str) or len(name) > 255 or "\0" in name:
        return False
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return not os.path.isabs(name) and ".." not in name.replace("\\", "/").split("/")


def _diffusers(entries: Entries) -> Layout | None:
    """`model_index.json`: each component is [library, class] and lies in a directory of its name."""
    if "model_index.json" not in entries.documents:
        return None
    index = entries.documents["model_index.json"].mapping
    parts: list[Part] = []
    for name, value in list(index.items())[:MAX_PARTS]:
        if name.startswith("_") or not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], str):
            continue
        inside = _names(entries.root / name) if _plain_name(name) else frozenset()
        parts.append(Part(name, value[1], bool(inside), tuple(sorted(inside))[:200]))
    return Layout("diffusers", tuple(parts), {"pipeline": index.get("_class_name")})


def _sentence_transformers(entries: Entries) -> Layout | None:
    """`modules.json`: each module's path, empty for the directory itself."""
    document = entries.documents.get("modules.json")
    if document is None or not isinstance(document.value, list):
        return None
    parts: list[Part] = []
    for module in document.value[:MAX_PARTS]:
        if not isinstance(module, dict):
            continue
        path = module.get("path", "")
        kind = str(module.get("type", "")).rpartition(".")[2]
        inside = _names(entries.root / path) if _plain_name(path) else frozenset()
        parts.append(Part(str(path), kind, bool(inside) or path == "", tuple(sorted(inside))[:200]))
    return Layout("sentence_transformers", tuple(parts), {})


def _deepspeed(entries: Entries) -> Layout | None:
    """A run's directory (`latest`, `global_stepN`), or one step of it."""
    root, names = entries.root, entries.names
    ranks = [match for name in names if (match := _ZERO.match(name))]
    models = [name for name in names if _MODEL_STATES.match(name)]
    if not ranks and not models and not names & {"latest", "zero_to_fp32.py"}:
        return None
    steps = [name for name in entries.directories if _STEP.match(name)]
    if not ranks and not models and not steps:
        return None
    facts: dict[str, Any] = {"steps": steps, "latest": _latest(root, names)}
    if not ranks and not models:
        wanted = facts["latest"] if facts["latest"] in steps else (steps[-1] if steps else "")
        inside = _names(root / wanted) if wanted else frozenset()
        ranks = [match for name in inside if (match := _ZERO.match(name))]
        models = [name for name in inside if _MODEL_STATES.match(name)]
        facts["step"] = wanted
    for kind in ("optim", "model"):
        found = {int(match[1]) for match in ranks if match[3] == kind}
        facts[f"{kind}_ranks"] = len(found)
        facts[f"{kind}_missing"] = _gaps(found)
    facts["model_states"] = sorted(models)
    return Layout("deepspeed", tuple(Part(name, "step", True) for name in steps), facts)


def _latest(root: Path, names: frozenset[str]) -> str | None:
    """The tag that `latest` names."""
    if "latest" not in names:
        return None
    try:
        return read_small(root / "latest", "latest", 4096).decode("utf-8", "replace").strip()
    except FileProblem:
        return None


def _distributed(entries: Entries) -> Layout | None:
    """`torch.distributed.checkpoint`, and FSDP's `rank_N.pt` without metadata."""
    shards = sorted(name for name in entries.names if _DISTCP.match(name))
    ranked = [match for name in entries.names if (match := _RANKED.match(name))]
    if not shards and not ranked:
        return None
    ranks = {int(match[1]) for name in shards if (match := _DISTCP.match(name))}
    facts: dict[str, Any] = {"metadata": ".metadata" in entries.names, "files": len(shards) or len(ranked)}
    if ranked:
        world = max(int(match[1]) for match in ranked)
        ranks = {int(match[2]) for match in ranked}
        facts["world_size"] = world
        facts["missing"] = [rank for rank in range(min(world, 100_000)) if rank not in ranks][:1000]
    else:
        facts["missing"] = _gaps(ranks) if ".metadata" not in entries.names else []
    facts["ranks"] = len(ranks)
    return Layout("torch_distributed", (), facts)


def _megatron(entries: Entries) -> Layout | None:
    """`mp_rank_TT` or `mp_rank_TT_PPP` directories: tensor and pipeline parallel ranks."""
    found = [match for name in entries.directories if (match := _MEGATRON.match(name))]
    if not found:
        return None
    tensor, pipeline = {int(match[1]) for match in found}, {int(match[2] or 0) for match in found}
    have = {(int(match[1]), int(match[2] or 0)) for match in found}
    wanted = [(one, two) for one in range(max(tensor) + 1) for two in range(max(pipeline) + 1)][:MAX_PARTS]
    inside = {match[0]: tuple(sorted(_names(entries.root / match[0])))[:200] for match in found}
    parts = tuple(Part(name, "rank", bool(names), names) for name, names in inside.items())
    missing = [
        f"mp_rank_{one:02}" + (f"_{two:03}" if max(pipeline) else "") for one, two in wanted if (one, two) not in have
    ]
    facts = {"tensor": max(tensor) + 1, "pipeline": max(pipeline) + 1, "missing": missing}
    return Layout("megatron", parts, facts)


def _consolidated(entries: Entries) -> Layout | None:
    """Meta's `consolidated.NN.pth`: as many files as processes, and `params.json`."""
    numbers = {int(match[1]) for name in entries.names if (match := _CONSOLIDATED.match(name))}
    if not numbers:
        return None
    facts = {"count": max(numbers) + 1, "missing": _gaps(numbers), "params": "params.json" in entries.names}
    return Layout("consolidated", (), facts)


def _tfjs(entries: Entries) -> Layout | None:
    """TensorFlow.js: `model.json` names groups of shards with their weights."""
    document = entries.documents.get("model.json")
    if document is None:
        return None
    if document.problem is not None and any(is_raw_shard(name) for name in entries.names):
        return Layout("tfjs", (), {"format": None, "weights": [], "bytes": 0})
    if not isinstance(document.mapping.get("weightsManifest"), list):
        return None
    groups = [group for group in document.mapping["weightsManifest"] if isinstance(group, dict)]
    paths = [path for group in groups for path in _items(group.get("paths")) if _plain_name(path)]
    weights = [item for group in groups for item in _items(group.get("weights")) if isinstance(item, dict)]
    parts = tuple(Part(path, "shard", os.path.isfile(entries.root / path)) for path in paths[:MAX_PARTS])
    held = sum(os.path.getsize(entries.root / part.name) for part in parts if part.present)
    facts = {"format": document.mapping.get("format"), "weights": weights[:100_000], "bytes": held}
    return Layout("tfjs", parts, facts)


def manifest_report(path: Path, layout: Layout) -> FileReport:
    """TensorFlow.js's weights as its manifest lists them; their bytes lie in the shards, one after another."""
    tensors: list[Tensor] = []
    wanted = 0
    for item in layout.facts["weights"]:
        name, shape, dtype = item.get("name"), item.get("shape"), str(item.get("dtype"))
        if not isinstance(name, str) or not isinstance(shape, list) or not all(type(size) is int for size in shape):
            continue
        quantized = item.get("quantization")
        stored = str(quantized.get("dtype")) if isinstance(quantized, dict) else dtype
        held = TORCH_DTYPES.get(stored, stored)
        nbytes = bytes_of(held, tuple(shape))
        tensors.append(Tensor(name, held, tuple(shape), nbytes or 0, "model.json"))
        wanted += nbytes or 0
    if all(tensor.nbytes or tensor.numel == 0 for tensor in tensors):
        layout.facts["wanted_bytes"] = wanted
    status = os.stat(path)
    facts = {"format": layout.facts["format"], "shards": len(layout.parts), "stored_bytes": layout.facts["bytes"]}
    return FileReport("model.json", "tfjs", status.st_size, tuple(tensors), facts, modified=status.st_mtime_ns)


def _orbax(entries: Entries) -> Layout | None:
    """Orbax: `_CHECKPOINT_METADATA`, written last, and the items of the step; or one item with its `_METADATA`."""
    root, names = entries.root, entries.names
    if not names & {"_CHECKPOINT_METADATA", "manifest.ocdbt", "_METADATA"} or "model.json" in names:
        return None
    items = [name for name in entries.directories if name != "d" and not name.startswith((".", "ocdbt.process_"))]
    facts = {"finished": "_CHECKPOINT_METADATA" in names or "_METADATA" in names, "ocdbt": "manifest.ocdbt" in names}
    parts = tuple(Part(name, "item", bool(_names(root / name))) for name in items)
    return Layout("orbax", parts, facts)


def _mlpackage(entries: Entries) -> Layout | None:
    """CoreML's package: the manifest names each item with its path below `Data`."""
    document = entries.documents.get("Manifest.json")
    if document is None or not isinstance(document.mapping.get("itemInfoEntries"), dict):
        return None
    parts: list[Part] = []
    for item in list(document.mapping["itemInfoEntries"].values())[:MAX_PARTS]:
        path = item.get("path") if isinstance(item, dict) else None
        if _plain_name(path):
            parts.append(Part(f"Data/{path}", str(item.get("name")), os.path.exists(entries.root / "Data" / str(path))))
    return Layout("coreml", tuple(parts), {"version": document.mapping.get("fileFormatVersion")})


def _trainer(entries: Entries) -> Layout | None:
    """A step of transformers' Trainer, beside the steps before it."""
    root, names = entries.root, entries.names
    here = root if root.name else root.absolute()
    match = _CHECKPOINT.match(here.name)
    if not names & _TRAINING_STATE and match is None:
        return None
    facts: dict[str, Any] = {"finished": "trainer_state.json" in names, "training": bool(names & _TRAINING_STATE)}
    if match is not None:
        facts["step"] = int(match[1])
        facts.update(_sibling(here, int(match[1])))
    return Layout("trainer", (), facts)


def _sibling(here: Path, step: int) -> dict[str, Any]:
    """The finished step before this one: its files with their sizes."""
    steps = sorted(
        int(name.removeprefix("checkpoint-"))
        for name in _names(here.parent)
        if re.fullmatch(r"checkpoint-\d{1,12}", name)
    )
    for other in reversed([number for number in steps if number < step]):
        place = here.parent / f"checkpoint-{other}"
        inside = _names(place)
        if "trainer_state.json" in inside:
            sizes = {
                name: os.path.getsize(place / name) for name in sorted(inside)[:200] if os.path.isfile(place / name)
            }
            return {"sibling": place.name, "sibling_files": sizes, "newest": step == max(steps)}
    return {}


_LAYOUTS: tuple[Callable[[Entries], Layout | None], ...] = (
    _diffusers, _sentence_transformers, _deepspeed, _distributed, _megatron, _consolidated, _tfjs, _mlpackage, _orbax,
    _trainer,
)  # fmt: skip
"""In the order in which they are tried."""
