"""Damage that the readers met: each problem becomes a finding with the command for this file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.checkpoint import is_side_file
from tui.core.diagnosis import keras_weights, translated
from tui.core.diagnosis.make import copy_again, fetch_again, fetch_pointer, finding, python_command
from tui.core.diagnosis.pages import PAGES
from tui.core.formats.recognised import TITLES
from tui.core.text import printable, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint, FileReport
    from tui.core.diagnosis.evidence import Evidence, Finding
    from tui.core.problems import Problem

_REFETCH = frozenset(
    {
        "safetensors-truncated", "safetensors-trailing-bytes", "safetensors-invalid-header", "html-weights",
        "html-json", "file-empty-file", "file-zero-filled", "zip-no-central-dir", "zip-record-corrupt",
        "torch-legacy-truncated", "pickle-broken", "hdf5-truncated", "file-truncated", "hub-dangling-symlink",
        "file-not-a-checkpoint", "tokenizer-json-invalid", "gguf-truncated", "gguf-invalid-header", "gguf-zero-header",
        "html-gguf", "gguf-lora-truncated-silent", "numpy-truncated", "numpy-invalid-header",
        "onnx-damaged", "onnx-tensor-size",
        "hdf5-damaged", "keras-archive-damaged",
    }
)  # fmt: skip


_COPY_AGAIN = frozenset(
    {
        "tensorflow-pb-damaged", "tensorflow-index-missing", "tensorflow-index-damaged", "tensorflow-shard-truncated",
        "tensorflow-shard-missing", "tensorflow-checksum", "tensorflow-asset-missing",
    }
)  # fmt: skip
"""Damage of a directory of TensorFlow, which comes from wherever it was copied from."""

_DIRECTORIES = frozenset({"tensorflow_saved_model", "tensorflow_hub_module", "tensorflow_checkpoint"})
"""Kinds whose files belong together."""


def damaged(evidence: Evidence) -> Iterator[Finding]:
    """One finding per problem; files that the loader does not read give warnings."""
    checkpoint = evidence.checkpoint
    for problem in checkpoint.all_problems():
        if problem.code in PAGES:
            yield _from_problem(checkpoint, problem)


def _from_problem(checkpoint: Checkpoint, problem: Problem) -> Finding:
    name = problem.file or ""
    shown = printable(name)
    lines = [f"{shown}: {printable(problem.message)}" if name else printable(problem.message)]
    lines.extend(printable(line) for line in problem.detail)
    if problem.loader_error is not None and problem.loader_error[1]:
        said = " ".join(problem.loader_error[1].split())
        lines.append(f"the loader says: {problem.loader_error[0]}: {printable(said, 240)}")
    return finding(
        problem.code,
        lines,
        title=f"{PAGES[problem.code].title}: {shown}" if name else "",
        file=name or None,
        fix=_fix(checkpoint, problem),
        severity=_severity(checkpoint, problem),
        offset=problem.offset,
    )


def _severity(checkpoint: Checkpoint, problem: Problem) -> str:
    """An error only where the loader meets it."""
    usual = PAGES[problem.code].severity
    if problem.code == "tensorflow-asset-missing" and problem.fatal:
        return "error"
    name = problem.file or ""
    if usual != "error" or not name:
        return usual
    if problem.code == "hub-dangling-symlink" and not problem.fatal:
        return "warning"
    if checkpoint.weights.files and name in checkpoint.by_name and name not in checkpoint.weights.files:
        return "warning"
    if is_side_file(name):
        return "warning"
    needed = ("config.json", checkpoint.weights.index, "adapter_config.json")
    if checkpoint.kind == "tfjs" and name == "model.json":
        return usual
    if name in checkpoint.json_files and name not in needed:
        return "warning"
    return usual


def _fix(checkpoint: Checkpoint, problem: Problem) -> tuple[str, ...]:
    name = problem.file or ""
    if problem.code.startswith("lfs-pointer"):
        return fetch_pointer(checkpoint, name)
    if name and (problem.code in _COPY_AGAIN or checkpoint.kind in _DIRECTORIES):
        return copy_again(checkpoint, name)
    if problem.code == "shard-missing-file":
        return fetch_again(checkpoint, *(problem.detail or (name,)))
    if problem.code == "safetensors-trailing-bytes" and problem.offset:
        cut = shell("truncate", "-s", str(problem.offset), str(checkpoint.root / name))
        return (*fetch_again(checkpoint, name), cut)
    if problem.code == "safetensors-nul-padding":
        return (_spaces_for_zeros(checkpoint, name),)
    if problem.code == "shard-index-invalid" and checkpoint.weights.kind == "safetensors":
        return (_rebuilt_index(checkpoint, name),)
    if problem.code in _REFETCH and name:
        return fetch_again(checkpoint, name)
    if problem.code == "hub-permission":
        return (shell("chmod", "u+r", str(checkpoint.root / name)),)
    return ()


def _spaces_for_zeros(checkpoint: Checkpoint, name: str) -> str:
    """The command that fills a header's padding with spaces: as many bytes as before, in their place."""
    code = (
        "import sys; f = open(sys.argv[1], 'r+b'); n = int.from_bytes(f.read(8), 'little'); h = f.read(n); f.seek(8); "
        "f.write(h.rstrip(bytes(1)).ljust(n)); f.close()"
    )
    return python_command(code, str(checkpoint.root / name))


def _rebuilt_index(checkpoint: Checkpoint, name: str) -> str:
    """The command that writes an index of what the shards really hold."""
    code = (
        "import glob, json, os, sys; from safetensors import safe_open; d, i = sys.argv[1:]; "
        "m = {k: os.path.basename(f) for f in sorted(glob.glob(os.path.join(glob.escape(d), 'model-*.safetensors'))) "
        "for k in safe_open(f, 'np').keys()}; "
        "json.dump({'metadata': {}, 'weight_map': m}, open(os.path.join(d, i), 'w'), indent=1)"
    )
    return python_command(code, str(checkpoint.root), name)


def misnamed(evidence: Evidence) -> Iterator[Finding]:
    """A format under another format's name, where the loader chooses by name."""
    checkpoint = evidence.checkpoint
    for file in checkpoint.weight_files:
        wrong = _wrong_name(file)
        if file.format == "fasttext" and file.name not in checkpoint.weights.files:
            continue  # fastText's own files end in .bin
        if wrong:
            yield finding(
                "file-ckpt-opened-as-safetensors",
                [f"{printable(file.name)}: {wrong}", *_loader_words(file)],
                title=f"{printable(file.name)} is {TITLES.get(file.format, file.format)}",
                file=file.name,
                fix=(_rename(checkpoint, file),),
            )


def _wrong_name(file: FileReport) -> str:
    """How name and content disagree, empty where they do not."""
    if file.fatal is not None:
        return ""
    torch_like = file.format in ("torch_zip", "torch_legacy", "pickle", "torchscript", "coreml_weights")
    if file.name.endswith(".safetensors") and file.format not in ("safetensors", "unknown", "unreadable"):
        return f"its content is {TITLES.get(file.format, file.format)}, its name says safetensors"
    if file.name.endswith((".bin", ".pt", ".pth")) and not torch_like and file.format not in ("unknown", "unreadable"):
        return f"its content is {TITLES.get(file.format, file.format)}, its name says torch"
    return ""


def _loader_words(file: FileReport) -> list[str]:
    if file.name.endswith(".safetensors"):
        return ["the loader says: SafetensorError: Error while deserializing header: header too large"]
    return []


def _rename(checkpoint: Checkpoint, file: FileReport) -> str:
    suffix = {"safetensors": ".safetensors", "gguf": ".gguf", "hdf5": ".h5"}.get(file.format, ".bin")
    stem = file.name.rpartition(".")[0]
    target = {"model.bin": "pytorch_model.bin"}.get(f"{stem}{suffix}", f"{stem}{suffix}")
    return shell("mv", str(checkpoint.root / file.name), str(checkpoint.root / target))


def no_weights(evidence: Evidence) -> Iterator[Finding]:
    """A model's directory without a file that the loader looks for."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind != "transformers" or checkpoint.weights.files or checkpoint.weights.problems:
        return
    others = [file.name for file in checkpoint.files]
    shown = ", ".join(printable(name) for name in others[:6]) or "none"
    message = f"Error no file named model.safetensors, or pytorch_model.bin, found in directory {checkpoint.path}."
    known = translated.conversion(checkpoint)
    if known is not None:
        yield _tensorflow_weights(checkpoint, known, message)
        return
    yield finding(
        "shard-no-weights",
        [f"weight files here: {shown}", f"the loader says: OSError: {printable(message)}"],
        fix=_weights_fix(checkpoint, others),
    )


def _tensorflow_weights(checkpoint: Checkpoint, known: translated.Conversion, message: str) -> Finding:
    """Weights of TensorFlow, which transformers 5 no longer reads."""
    kind = str(checkpoint.settings.get("model_type", ""))
    file = keras_weights.tf_model(checkpoint)
    name = file.name if file is not None else checkpoint.files[0].name
    lines = [
        f"{printable(name)} is here: weights of TensorFlow, which transformers 5 reads no more, from_tf=True or not",
        f"the loader says: OSError: {printable(message)}",
        "compare shows them under torch's names, as they are once they are converted",
        *known.notes,
    ]
    if file is not None and kind not in keras_weights.GENERIC:
        lines.append(f"the names of {printable(kind, 40) or 'an unknown family'} may follow rules of its own")
    return finding(
        "shard-no-weights", lines, file=name, fix=known.fix, title="The weights are TensorFlow's: convert them once",
    )  # fmt: skip


def _weights_fix(checkpoint: Checkpoint, others: list[str]) -> tuple[str, ...]:
    safetensors = [name for name in others if name.endswith(".safetensors")]
    if len(safetensors) == 1:
        return (shell("mv", str(checkpoint.root / safetensors[0]), str(checkpoint.root / "model.safetensors")),)
    return fetch_again(checkpoint, "model.safetensors")


def index_against_shards(evidence: Evidence) -> Iterator[Finding]:
    """Tensors that the index promises and the shards do not hold: the loader says nothing of them."""
    checkpoint = evidence.checkpoint
    weights = checkpoint.weights
    if weights.index is None or not weights.weight_map or any(file.fatal for file in checkpoint.weight_files):
        return
    if weights.problems:
        return
    held = {tensor.name: tensor.file for file in checkpoint.weight_files for tensor in file.tensors}
    absent = [name for name in weights.weight_map if name not in held]
    moved = [name for name, shard in weights.weight_map.items() if name in held and held[name] != shard]
    if absent or moved:
        lines = [f"{printable(name)}: in no shard" for name in absent[:5]]
        lines += [f"{printable(name)}: in {held[name]}, not in {weights.weight_map[name]}" for name in moved[:5]]
        yield finding(
            "shard-index-stale",
            [f"{len(absent):,} names of the index are in no shard, {len(moved):,} in another", *lines],
            file=weights.index,
            fix=(_rebuilt_index(checkpoint, weights.index),) if weights.kind == "safetensors" else (),
        )


def empty_tensors(evidence: Evidence) -> Iterator[Finding]:
    """Placeholders of a ZeRO-3 run."""
    checkpoint = evidence.checkpoint
    empty = [tensor for tensor in checkpoint.tensors if not tensor.nbytes and 0 in tensor.shape and tensor.role == ""]
    if len(empty) > 2 and len(empty) * 2 > len(checkpoint.tensors):
        yield finding(
            "shape-zero3-empty",
            [f"{len(empty):,} of {len(checkpoint.tensors):,} tensors have no elements: {printable(empty[0].name)} …"],
        )


def nothing(evidence: Evidence) -> Iterator[Finding]:
    """A directory in which there is nothing to load."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind == "unknown" and not checkpoint.files and not checkpoint.problems:
        count = len(checkpoint.names)
        yield finding("directory-empty", [f"{count} entries, none of them a weight file, config or index"])
    if checkpoint.is_file and checkpoint.kind == "unknown" and not checkpoint.all_problems():
        name = checkpoint.files[0].name if checkpoint.files else checkpoint.path
        yield finding(
            "file-not-a-checkpoint", [f"{printable(name)}: of no known format"], file=name, severity="warning"
        )
