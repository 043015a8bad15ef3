"""From the entries of one directory, or one file, to a `Checkpoint`: which files count, what kind it is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from tui.core.checkpoint import Checkpoint, FileReport, JsonFile, Layout, Part, Weights, is_side_file
from tui.core.files import FileProblem, read_small
from tui.core.formats import WEIGHT_SUFFIXES, read_file
from tui.core.formats.shard_index import resolve_weights
from tui.core.formats.tensorflow import names as tensorflow
from tui.core.formats.tokenizer_files import TOKENIZER_FILES, read_tokenizer
from tui.core.json_text import parse
from tui.core.layouts import is_raw_shard, manifest_report, marks_directory, read_layout
from tui.core.problems import Problem
from tui.core.record import replace
from tui.core.text import bytes_size, count_of

LOADER_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""What `from_pretrained` looks for, in its order (transformers 5.23, `_get_resolved_checkpoint_files`)."""

_CONFIG_FILES = (
    "config.json",
    "bert_config.json",
    "generation_config.json",
    "adapter_config.json",
    "model_index.json",
    "modules.json",
    "config_sentence_transformers.json",
    "preprocessor_config.json",
    "processor_config.json",
    "trainer_state.json",
    "params.json",
    "model.json",
    "Manifest.json",
    "quantize_config.json",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
)
_MAX_JSON = 64 << 20
_SHARD = re.compile(r"^(model|pytorch_model)-\d{5}-of-\d{5}\.(safetensors|bin)$")
_FILE_KINDS: dict[str, str] = {
    "safetensors": "safetensors", "torch_zip": "torch", "torch_legacy": "torch", "torchscript": "torchscript",
    "pickle": "pickle", "gguf": "gguf", "ggml": "gguf", "onnx": "onnx", "npy": "numpy", "npz": "numpy",
    "torch_tar": "torch", "hdf5": "keras", "keras_zip": "keras", "tflite": "tflite", "fasttext": "fasttext",
    "flax": "flax", "coreml": "coreml", "torch_export": "torch_export", "tensor_bundle": "tensorflow_checkpoint",
    "tensorflow_v1": "tensorflow_checkpoint", "tensorflow_graph": "tensorflow_graph",
    "saved_model": "tensorflow_saved_model",
}  # fmt: skip
_LAYOUT_KINDS = {
    "deepspeed": "deepspeed", "torch_distributed": "torch_distributed", "megatron": "torch_distributed",
    "consolidated": "torch", "tfjs": "tfjs", "orbax": "orbax", "coreml": "coreml",
    "sentence_transformers": "sentence_transformers",
}  # fmt: skip
"""Kinds that follow from the layout alone; the others are told by the files."""

MAX_COMPONENTS = 64
_SUFFIX_KINDS: dict[str, str] = {
    ".safetensors": "safetensors", ".bin": "torch", ".pt": "torch", ".pth": "torch", ".ckpt": "torch",
    ".pkl": "pickle", ".pickle": "pickle", ".gguf": "gguf", ".onnx": "onnx", ".npy": "numpy", ".npz": "numpy",
    ".h5": "keras", ".hdf5": "keras", ".keras": "keras", ".tflite": "tflite", ".joblib": "pickle",
    ".msgpack": "flax", ".mlmodel": "coreml", ".pt2": "torch_export",
    ".pb": "tensorflow_graph", ".graphdef": "tensorflow_graph", ".index": "tensorflow_checkpoint",
}  # fmt: skip


def is_weight_name(name: str) -> bool:
    """Whether a file's name claims that it holds weights."""
    return name.lower().endswith(WEIGHT_SUFFIXES)


def is_checkpoint_directory(names: frozenset[str], directories: frozenset[str] = frozenset()) -> bool:
    """Whether the files and directories in a directory make it one checkpoint rather than a folder of several."""
    if not names.isdisjoint(LOADER_NAMES) or marks_directory(names, directories):
        return True
    if any(_SHARD.match(name) for name in names):
        return True
    if names & {"adapter_config.json", "model_index.json", "modules.json", "saved_model.pb", "saved_model.pbtxt"}:
        return True
    if "config.json" in names or tensorflow.prefixes(names) or tensorflow.v1_names(names):
        return True
    return has_tokenizer(names) or single_weight_file(names) is not None


def has_tokenizer(names: frozenset[str]) -> bool:
    """Whether a directory holds a tokenizer, with or without weights."""
    return bool(names & {"tokenizer.json", "tokenizer_config.json"})


def single_weight_file(names: frozenset[str]) -> str | None:
    """The one weight file of a directory that holds exactly one, `None` otherwise."""
    weights = [name for name in names if is_weight_name(name) and not is_side_file(name)]
    return weights[0] if len(weights) == 1 else None


def read_directory(
    root: Path,
    path: str,
    names: frozenset[str] | None = None,
    directories: frozenset[str] | None = None,
    *,
    components: bool = True,
) -> Checkpoint:
    """The checkpoint in `root`; problems are carried, nothing raises but the listing of `root` itself.

    `names` and `directories` are what a scan has listed there already. `components` reads the parts of a composite
    checkpoint too, one level deep.
    """
    entries = frozenset(os.listdir(root)) if names is None else names
    documents = {name: read_json(root / name, name) for name in _CONFIG_FILES if name in entries}
    index_problems, weights = resolve_weights(root, entries, documents)
    layout = read_layout(root, entries, documents, directories)
    parts = _tensorflow(root, entries)
    files = list(parts.files) or [read_file(root / name, name) for name in _files_to_read(entries, weights, layout)]
    files += _files_of_layout(root, layout) or (_foreign_bundle(root, entries) if not files else [])
    named = bool(entries & TOKENIZER_FILES) or any(name.endswith((".model", ".tiktoken")) for name in entries)
    config = documents.get("config.json")
    kind = parts.kind or _directory_kind(entries, layout, config, files)
    return Checkpoint(
        path=path,
        root=root,
        kind=kind,
        files=tuple(files),
        config=config,
        json_files=documents,
        weights=weights,
        problems=(
            *index_problems,
            *parts.problems,
            *unfinished_blobs(root),
            *_dangling(root, entries - set(documents), files),
        ),
        names=tuple(sorted(entries)),
        sources=_sources(root, entries),
        layout=with_components(root, layout) if components else layout,
        tokenizer=read_tokenizer(root, entries) if named else None,
    )


def _dangling(root: Path, entries: frozenset[str], files: list[FileReport]) -> tuple[Problem, ...]:
    """Links of a snapshot whose blob is gone, but for those that were read and are told."""
    if root.parent.name != "snapshots":
        return ()
    told = {file.name for file in files}
    gone = sorted(name for name in entries - told if (root / name).is_symlink() and not (root / name).exists())
    words = "is a link to a blob that does not exist"
    return tuple(Problem("hub-dangling-symlink", words, name, fatal=False) for name in gone[:20])


def unfinished_blobs(root: Path) -> tuple[Problem, ...]:
    """Downloads that have not ended among the blobs of the hub cache that a snapshot, or a repository, lies in."""
    repository = root.parent.parent if root.parent.name == "snapshots" else root
    if "--" not in repository.name:
        return ()
    try:
        with os.scandir(repository / "blobs") as entries:
            found = {entry.name: entry.stat().st_size for entry in entries if entry.name.endswith(".incomplete")}
    except OSError:
        return ()
    if not found:
        return ()
    words = f"{count_of(len(found), 'download')} among the repository's blobs did not end, maybe of another revision"
    detail = tuple(f"blobs/{name}: {bytes_size(size)} so far" for name, size in sorted(found.items())[:8])
    return (Problem("hub-incomplete", words, fatal=False, detail=detail),)


def with_components(root: Path, layout: Layout | None) -> Layout | None:
    """The layout with the problems of its components, each read as a checkpoint of its own."""
    if layout is None or layout.name not in ("diffusers", "sentence_transformers"):
        return layout
    parts: list[Part] = []
    for part in layout.parts[:MAX_COMPONENTS]:
        if not part.present or not part.name:
            parts.append(part)
            continue
        try:
            inner = read_directory(root / part.name, part.name, components=False)
        except OSError:
            parts.append(part)
            continue
        found = (_below(problem, part.name) for problem in inner.all_problems())
        parts.append(replace(part, problems=tuple(found), bytes=inner.bytes))
    return replace(layout, parts=(*parts, *layout.parts[MAX_COMPONENTS:]))


def _below(problem: Problem, name: str) -> Problem:
    """The problem with its file named from the checkpoint's own directory."""
    return problem.in_file(f"{name}/{problem.file}" if problem.file else name)


def _tensorflow(root: Path, entries: frozenset[str]) -> tensorflow.Parts:
    """A SavedModel, or a checkpoint of TensorFlow where no other model is; empty for all other directories."""
    saved = tensorflow.is_saved_model(entries)
    if not saved and not _tensorflow_alone(entries):
        return tensorflow.Parts("")
    from tui.core.formats.tensorflow import directory

    return directory.read_saved_model(root, entries) if saved else directory.read_checkpoint(root, entries)


def _foreign_bundle(root: Path, entries: frozenset[str]) -> list[FileReport]:
    """A checkpoint of TensorFlow beside a config.json: no class of transformers reads it, it is what is here."""
    if "config.json" not in entries or not tensorflow.prefixes(entries):
        return []
    from tui.core.formats.tensorflow import directory

    return list(directory.read_checkpoint(root, entries).files)


def _tensorflow_alone(entries: frozenset[str]) -> bool:
    """Whether a checkpoint of TensorFlow lies where no other model does."""
    if not tensorflow.prefixes(entries) and not tensorflow.v1_names(entries):
        return False
    named = any(name in entries for name in LOADER_NAMES) or any(_SHARD.match(name) for name in entries)
    return not (named or entries & {"config.json", "adapter_config.json", "model_index.json", "modules.json"})


def is_bundle_prefix(path: Path) -> bool:
    """Whether a path is the prefix of a tensor bundle, which is how TensorFlow names one: no file has that name."""
    if path.exists():
        return False
    try:
        names = os.listdir(path.parent)
    except OSError:
        return False
    return path.name in tensorflow.prefixes(names) or f"{path.name}.index" in names


def read_prefix(path: Path, shown: str) -> Checkpoint:
    """The checkpoint of TensorFlow under one prefix."""
    from tui.core.formats.tensorflow import directory

    entries = frozenset(os.listdir(path.parent))
    parts = directory.read_checkpoint(path.parent, entries, path.name)
    names = tuple(sorted(name for name in entries if name.startswith(f"{path.name}.") or name == "bert_config.json"))
    documents = {name: read_json(path.parent / name, name) for name in names if name == "bert_config.json"}
    return Checkpoint(
        shown, path.parent, parts.kind, parts.files, json_files=documents, problems=parts.problems, names=names
    )


def _sources(root: Path, entries: frozenset[str]) -> dict[str, str]:
    """Text of a few small Python files, read to be parsed and never run."""
    out: dict[str, str] = {}
    for name in sorted(entry for entry in entries if entry.endswith(".py"))[:8]:
        try:
            out[name] = read_small(root / name, name, 1 << 18).decode("utf-8", "replace")
        except FileProblem:
            continue
    return out


def read_one_file(file: Path, path: str) -> Checkpoint:
    """A single file as a checkpoint of its own."""
    if file.name in tensorflow.SAVED_MODEL_NAMES:
        return read_directory(file.parent, path)
    if file.name.endswith(".index") and tensorflow.prefixes(os.listdir(file.parent)):
        return replace(read_prefix(file.with_name(file.name[:-6]), path), is_file=True)
    report = read_file(file, file.name)
    return Checkpoint(
        path=path,
        root=file.parent,
        kind=file_kind(report),
        files=(report,),
        names=(file.name,),
        is_file=True,
    )


def read_json(path: Path, name: str) -> JsonFile:
    """A JSON file beside the weights, or the reason it is none."""
    try:
        data = read_small(path, name, _MAX_JSON)
    except FileProblem as problem:
        return JsonFile(name, problem=problem.problem)
    return json_document(name, data)


def json_document(name: str, data: bytes) -> JsonFile:
    """`data` as the JSON file `name`."""
    text = data.decode("utf-8", "surrogateescape")
    document = parse(data)
    if document.error is None:
        return JsonFile(name, text, document.value)
    return JsonFile(name, text, None, _json_problem(name, data, document.error))


def _json_problem(name: str, data: bytes, error: Any) -> Problem:
    """Why a JSON file does not parse, told apart by what it really is."""
    where = f"line {error.line}, column {error.column}" if error.line else f"byte {error.offset}"
    if data.startswith(b"version https://git-lfs"):
        return Problem("lfs-pointer-json", "is a git-lfs pointer, not JSON", name, 0)
    if data.lstrip()[:1] == b"<":
        return Problem("html-json", "is an HTML page, not JSON", name, 0)
    if not data.strip():
        return Problem("json-invalid", f"is empty ({len(data)} bytes)", name, 0)
    return Problem("json-invalid", f"is no valid JSON: {error.message} at {where}", name, error.offset)


def _files_of_layout(root: Path, layout: Layout | None) -> list[FileReport]:
    """What an index elsewhere than in the weight files tells: TensorFlow.js, Orbax, a CoreML package."""
    if layout is None:
        return []
    if layout.name == "tfjs":
        return [manifest_report(root / "model.json", layout)]
    if layout.name == "megatron":
        ranks = [f"{part.name}/{name}" for part in layout.parts[:MAX_COMPONENTS] for name in part.names]
        return [read_file(root / name, name) for name in ranks if is_weight_name(name)]
    if layout.name == "orbax":
        from tui.core.formats.zarr_arrays import read_arrays

        items = ["", *(part.name for part in layout.parts[:MAX_COMPONENTS])]
        return [report for item in items for report in read_arrays(root, item)]
    models = [part.name for part in layout.parts if part.name.endswith(".mlmodel") and part.present]
    if not models:
        return []
    from tui.core.formats.coreml_weights import read_weights

    reports = [read_file(root / name, name) for name in models[:MAX_COMPONENTS]]
    return reports + [report for name in models[:MAX_COMPONENTS] for report in read_weights(root, name)]


def _files_to_read(entries: frozenset[str], weights: Weights, layout: Layout | None) -> list[str]:
    """The loader's files first, in its order; then every other file that claims to hold weights."""
    if layout is not None and layout.name == "tfjs":
        entries = frozenset(name for name in entries if not is_raw_shard(name))
    rest = sorted(
        name for name in entries if (is_weight_name(name) or name == ".metadata") and name not in weights.files
    )
    return [name for name in weights.files if name in entries] + rest


def _directory_kind(
    names: frozenset[str], organised: Layout | None, config: JsonFile | None, files: list[FileReport]
) -> str:
    """The kind of a directory, from what is in it."""
    layout = organised.name if organised is not None else ""
    if layout in _LAYOUT_KINDS and not (layout == "sentence_transformers" and "modules.json" not in names):
        return _LAYOUT_KINDS[layout]
    if "adapter_config.json" in names and "config.json" not in names:
        return "adapter"
    if "model_index.json" in names:
        return "diffusers"
    if "modules.json" in names and "config_sentence_transformers.json" in names:
        return "sentence_transformers"
    if any(name in names for name in LOADER_NAMES) or any(_SHARD.match(name) for name in names):
        return "transformers"
    return _kind_without_weights(names, config.mapping if config is not None else {}, files)


def _kind_without_weights(names: frozenset[str], config: dict[str, Any], files: list[FileReport]) -> str:
    """The kind of a directory in which no file has a name that the loader looks for."""
    if "model_type" in config or "architectures" in config:
        return "transformers"
    weights = [file for file in files if not is_side_file(file.name)]
    if len(weights) == 1:
        return file_kind(weights[0])
    if "config.json" in names and not weights:
        return "transformers"
    if has_tokenizer(names):
        return "tokenizer"
    return file_kind(weights[0]) if weights else "unknown"


def file_kind(report: FileReport) -> str:
    """The kind of a single file: by its content, and where that is damaged by the name it was given."""
    if report.format in _FILE_KINDS:
        keys = report.pickle.top_keys if report.pickle is not None else ()
        lightning = "pytorch-lightning_version" in keys and "state_dict" in keys
        return "lightning" if lightning else _FILE_KINDS[report.format]
    suffix = Path(report.name).suffix.lower()
    return _SUFFIX_KINDS.get(suffix, "unknown")
