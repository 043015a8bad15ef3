"""Keras files without Keras: `.h5`, `.hdf5`, `.weights.h5` and `.keras`: config, layers, weights, versions.

`metadata` of the report: `form` (`model`, `weights`, or `hdf5` for a file that is none of Keras), `written_by`
(`keras 2`, `keras 3` or empty), `keras_version`, `backend`, `model_class`, `layers` (`name`, `class`, `package`),
`custom` (classes of somebody's own), `lambdas` (layers that hold Python bytecode), `functions` (other code by name),
`hub_layers` (TensorFlow Hub handles inside), `compiled`, `compile_strings`, `time_major`, `inputs`, and `root_name`
(what Keras 3 calls the model whose weights it saved).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.files import FileProblem, RegularFile
from tui.core.formats.extents import overlap_problems, overlapping, trailing_problems
from tui.core.formats.hdf5 import SIGNATURE, Content, Dataset, Reader
from tui.core.formats.hdf5_messages import Datatype, Hdf5Error
from tui.core.formats.keras_layers import KNOWN
from tui.core.formats.recognised import hdf5_cut, hdf5_end
from tui.core.formats.zip_directory import (
    Member,
    ZipBroken,
    archive_end,
    data_offset,
    list_members,
    overlaps,
    read_member,
)
from tui.core.json_text import parse
from tui.core.problems import Problem
from tui.core.tensors import Tensor
from tui.core.text import listing, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CONFIG = 64 << 20
MAX_OBJECTS = 500_000
MAX_LAYERS = 20_000
_DTYPES: dict[tuple[str, int], str] = {
    ("float", 2): "F16", ("float", 4): "F32", ("float", 8): "F64", ("bfloat", 2): "BF16", ("int", 1): "I8",
    ("int", 2): "I16", ("int", 4): "I32", ("int", 8): "I64", ("uint", 1): "U8", ("uint", 2): "U16",
    ("uint", 4): "U32", ("uint", 8): "U64", ("bool", 1): "BOOL",
}  # fmt: skip


def matches(head: bytes, name: str, size: int) -> bool:
    """HDF5 by its signature, an archive of Keras by its name and a zip's."""
    return head.startswith(SIGNATURE) or (
        name.endswith(".keras") and size > 0 and not head.startswith((b"version", b"<"))
    )


def read(file: RegularFile) -> FileReport:
    """What the file holds; what is damaged is said, the rest is read."""
    if file.head(8) == SIGNATURE:
        return _read_hdf5(file)
    return _read_archive(file)


def _read_hdf5(file: RegularFile) -> FileReport:
    report = FileReport(file.name, "hdf5", file.size, modified=file.modified, allocated=file.blocks)
    cut = hdf5_cut(file)
    if cut is not None:
        return report.with_problems(cut)
    try:
        content = Reader(file).run()
    except Hdf5Error as error:
        return report.with_problems(_damaged(file.name, error.offset, error.message))
    except FileProblem as problem:
        return report.with_problems(problem.problem)
    metadata = _metadata(content)
    return FileReport(
        file.name, "hdf5", file.size, _tensors(content, file.name, 0), metadata,
        (*_problems(content, file.name), *_after(file)), modified=file.modified, allocated=file.blocks,
    )  # fmt: skip


def _after(file: RegularFile) -> tuple[Problem, ...]:
    """Bytes beyond the end that the superblock gives."""
    end = hdf5_end(file.head(96))
    return tuple(trailing_problems(file.name, file.size, end)) if end else ()


def _damaged(name: str, offset: int, message: str) -> Problem:
    return Problem("hdf5-damaged", message, name, offset, loader_error=("OSError", "Unable to synchronously open"))


def _problems(content: Content, name: str) -> tuple[Problem, ...]:
    """What of an HDF5 file leads out of it, could not be read, or is damaged."""
    out = [_damaged(name, *content.damage[0])] if content.damage else []
    placed = [(data.offset, data.nbytes, data.name) for data in content.datasets if data.offset is not None]
    out += overlap_problems(name, overlapping(placed, shared=False))
    outside = [data.name for data in content.datasets if data.layout in ("external", "virtual")]
    outside += [f"{path} → {target}" for path, target in content.links]
    if outside:
        words = f"refers to other files or places: {listing(outside, 4)}; nothing of it is followed"
        out.append(Problem("hdf5-outside", words, name, fatal=False, detail=tuple(outside[:20])))
    if content.unread:
        parts = listing(list(dict.fromkeys(content.unread)))
        words = f"keeps parts of {parts} in shared messages or compressed heaps, which are not read here"
        out.append(Problem("hdf5-not-read", words, name, fatal=False))
    return tuple(out)


def _tensors(content: Content, name: str, base: int) -> tuple[Tensor, ...]:
    """Every dataset; arrays of an optimizer are marked."""
    return tuple(
        Tensor(
            data.name, dtype_name(data.dtype), data.shape, data.nbytes, name,
            None if data.offset is None else data.offset + base, role=_role(data),
        )
        for data in content.datasets
    )  # fmt: skip


def dtype_name(dtype: Datatype) -> str:
    """An HDF5 element type under the names used here."""
    if dtype.kind in ("string", "text"):
        return "STRING"
    return _DTYPES.get((dtype.kind, dtype.size), "OTHER")


def _role(data: Dataset) -> str:
    first = data.name.partition("/")[0]
    if first == "metrics":
        return "metric"
    return "optimizer" if first in ("optimizer_weights", "optimizer", "_optimizer") else ""


def _metadata(content: Content) -> dict[str, Any]:
    """What the attributes of the root say."""
    root = content.attributes.get("", {})
    config = root.get("model_config")
    inside = content.attributes.get("model_weights", {})
    out: dict[str, Any] = {
        "keras_version": _text(root.get("keras_version") or inside.get("keras_version")),
        "backend": _text(root.get("backend") or inside.get("backend")),
        "root_name": printable(_text(content.attributes.get("vars", {}).get("name")), 200),
    }
    names = {data.name.partition("/")[0] for data in content.datasets}
    if isinstance(config, str):
        out.update(form="model", written_by=_writer(out["keras_version"]))
        out.update(describe(parse(config.encode("utf-8", "surrogateescape")).value))
        out.update(_training(root.get("training_config")))
    elif "layer_names" in root:
        out.update(form="weights", written_by="keras 2", layer_names=_names(root["layer_names"]))
    elif names & {"layers", "_layer_checkpoint_dependencies", "vars"}:
        out.update(form="weights", written_by="keras 3")
    else:
        out.update(form="hdf5", written_by="")
    return out


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _names(value: Any) -> list[str]:
    return [str(item) for item in value[:MAX_LAYERS]] if isinstance(value, list) else []


def _writer(version: str) -> str:
    major = version.partition(".")[0]
    return f"keras {major}" if major.isdigit() else ""


def _training(text: Any) -> dict[str, Any]:
    """Whether the model was compiled, and with which losses."""
    if not isinstance(text, str):
        return {"compiled": False, "compile_strings": []}
    value = parse(text.encode("utf-8", "surrogateescape")).value
    return {"compiled": True, "compile_strings": _compile_strings(value)}


def _compile_strings(value: Any) -> list[str]:
    """Losses given as plain words (`mse`), or as objects: `class MeanSquaredError`."""
    found: list[str] = []
    stack: list[Any] = [value.get("loss")] if isinstance(value, dict) else []
    while stack and len(found) < 100:
        item = stack.pop()
        if isinstance(item, str):
            found.append(printable(item, 100))
        elif isinstance(item, list):
            stack += item[:100]
        elif isinstance(item, dict) and "class_name" in item:
            found.append(f"class {printable(str(item['class_name']), 100)}")
        elif isinstance(item, dict):
            stack += list(item.values())[:100]
    return found


def describe(config: Any) -> dict[str, Any]:
    """What a model's config says: its layers, whose classes are not Keras's own, and where code is in it."""
    out: dict[str, Any] = {
        "model_class": "", "layers": [], "custom": [], "lambdas": [], "functions": [], "hub_layers": [],
        "time_major": False, "inputs": [],
    }  # fmt: skip
    if not isinstance(config, dict):
        return out
    out["model_class"] = _text(config.get("class_name"))
    for parent, item in _objects(config):
        _note(out, parent, item)
    for key in ("custom", "lambdas", "functions", "hub_layers"):
        out[key] = list(dict.fromkeys(out[key]))
    return out


_LAYER_KEYS = frozenset({"layers", "layer", "cell", "cells", "forward_layer", "backward_layer", ""})


def _objects(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key it stands under, object) for everything with a class name, in the order of the text."""
    stack: list[tuple[str, Any]] = [("", config)]
    budget = MAX_OBJECTS
    while stack and budget > 0:
        parent, item = stack.pop()
        budget -= 1
        if isinstance(item, dict):
            if isinstance(item.get("class_name"), str):
                yield parent, item
            stack += reversed([(str(key), value) for key, value in item.items() if isinstance(value, dict | list)])
        elif isinstance(item, list):
            stack += reversed([(parent, value) for value in item if isinstance(value, dict | list)])


def _note(out: dict[str, Any], parent: str, item: dict[str, Any]) -> None:
    """Take in one object of the config."""
    name = printable(item["class_name"], 200)
    inner = item.get("config")
    module, registered = item.get("module"), item.get("registered_name")
    config = inner if isinstance(inner, dict) else {}
    label = printable(str(config.get("name", name)), 200)
    if name == "function":
        out["functions"].append(printable(str(inner), 200))
        return
    if name == "__lambda__":
        return
    layer = parent in _LAYER_KEYS
    if layer and len(out["layers"]) < MAX_LAYERS:
        package = module if isinstance(module, str) else ""
        out["layers"].append({"name": label, "class": name, "package": printable(package, 200)})
    if is_custom(name, module, registered, "module" in item, layer):
        out["custom"].append(registered if isinstance(registered, str) and ">" in registered else name)
    if name == "Lambda":
        _note_lambda(out, label, config)
    if "KerasLayer" in name:
        out["hub_layers"].append(printable(str(config.get("handle", "")), 400))
    if config.get("time_major") is False and "time_major" in config:
        out["time_major"] = True
    if name == "InputLayer":
        shape = config.get("batch_shape", config.get("batch_input_shape"))
        out["inputs"].append({"name": label, "shape": shape, "dtype": _text(config.get("dtype"))})


def is_custom(name: str, module: Any, registered: Any, has_module: bool, layer: bool) -> bool:
    """Whether a class is somebody's own: Keras 3 writes its module, Keras 2 only a name."""
    if isinstance(registered, str) and ">" in registered:
        return True
    if has_module:
        own = isinstance(module, str) and module.split(".")[0] in ("keras", "tf_keras", "builtins")
        return not own
    return layer and name.rpartition(">")[2] not in KNOWN


def _note_lambda(out: dict[str, Any], label: str, config: dict[str, Any]) -> None:
    """A Lambda layer: bytecode, or a function that is only named."""
    function = config.get("function")
    named = config.get("function_type") == "function"
    if isinstance(function, dict) and function.get("class_name") != "__lambda__":
        named = True
    if named:
        inner = function.get("config") if isinstance(function, dict) else function
        out["functions"].append(printable(str(inner), 200))
    else:
        out["lambdas"].append(label)


# archives of Keras 3


class _Stored:
    """A member of an archive that is stored as it is, read in place."""

    def __init__(self, file: RegularFile, start: int, size: int) -> None:
        self.file, self.start, self.size = file, start, size

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the member."""
        if offset < 0 or offset + count > self.size:
            raise FileProblem(
                Problem("file-truncated", f"{count:,} bytes at {offset:,} of {self.size:,}", self.file.name)
            )
        return self.file.read(self.start + offset, count)


class _Inflated:
    """A member that was compressed, in memory."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the member."""
        return self.data[offset : offset + count]


_WEIGHTS = ("model.weights.h5",)
MAX_INFLATED = 256 << 20


def _read_archive(file: RegularFile) -> FileReport:
    report = FileReport(file.name, "keras_zip", file.size, modified=file.modified, allocated=file.blocks)
    try:
        listed = list_members(file)
        members = {member.name: member for member in listed}
    except ZipBroken as error:
        words = f"File not found: filepath={file.path}. Please ensure the file is an accessible `.keras` zip file."
        problem = Problem("keras-archive-damaged", str(error), file.name, file.size, loader_error=("ValueError", words))
        return report.with_problems(problem)
    metadata: dict[str, Any] = {"form": "model", "written_by": "keras 3", "members": list(members)[:100]}
    problems = [_broken(file, f"{name} begins before another member ends") for *_, name in overlaps(listed)[:1]]
    problems += trailing_problems(file.name, file.size, archive_end(file))
    for name in ("metadata.json", "config.json"):
        value = _member_json(file, members, name, problems)
        if name == "metadata.json" and isinstance(value, dict):
            metadata["keras_version"] = _text(value.get("keras_version"))
        elif name == "config.json":
            metadata.update(describe(value))
            compiled = value.get("compile_config") if isinstance(value, dict) else None
            metadata.update(compiled=compiled is not None, compile_strings=[])
    tensors, more = _archive_weights(file, members)
    return FileReport(
        file.name, "keras_zip", file.size, tensors, metadata, (*problems, *more),
        modified=file.modified, allocated=file.blocks,
    )  # fmt: skip


def _member_json(file: RegularFile, members: dict[str, Member], name: str, problems: list[Problem]) -> Any:
    """A JSON member's value; what is wrong with it goes to `problems`."""
    member = members.get(name)
    if member is None:
        problems.append(_broken(file, f"holds no {name}"))
        return None
    try:
        document = parse(read_member(file, member, MAX_CONFIG, named=True))
    except (ZipBroken, FileProblem) as error:
        problems.append(_broken(file, str(error)))
        return None
    if document.error is not None:
        problems.append(_broken(file, f"{name} is no valid JSON: {document.error.message}"))
    return document.value


def _broken(file: RegularFile, words: str) -> Problem:
    if words.startswith(("metadata.json", "holds no metadata.json")):  # Keras 3.15 does not open it
        return Problem("keras-metadata", words, file.name, fatal=False)
    return Problem("keras-archive-damaged", words, file.name, loader_error=("ValueError", ""))


def _archive_weights(file: RegularFile, members: dict[str, Member]) -> tuple[tuple[Tensor, ...], list[Problem]]:
    """The tensors of the HDF5 file inside."""
    member = next((members[name] for name in _WEIGHTS if name in members), None)
    if member is None:
        return (), [_broken(file, "holds no model.weights.h5")]
    try:
        base = data_offset(file, member, named=True) if member.method == 0 else 0
        if member.method == 0 and base + member.size > file.size:
            return (), [_broken(file, "its weights reach beyond the end of the file")]
        inside = (
            _Stored(file, base, member.size)
            if member.method == 0
            else _Inflated(read_member(file, member, MAX_INFLATED, named=True))
        )
        content = Reader(inside).run()
    except (ZipBroken, FileProblem) as error:
        return (), [_broken(file, f"model.weights.h5: {error}")]
    except Hdf5Error as error:
        return (), [_damaged(file.name, error.offset, f"model.weights.h5: {error.message}")]
    return _tensors(content, file.name, base), list(_problems(content, file.name))
