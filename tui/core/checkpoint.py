"""What a scan finds: files with their tensors, and the checkpoint they make up. All frozen."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tui.core.record import Record, field, replace
from tui.core.tensors import STATE_ROLES, Tally, Tensor, distinct, elements_of, tally, without_state

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.problems import Problem

KINDS = (
    "transformers", "sentence_transformers", "diffusers", "adapter", "safetensors", "torch", "pickle", "torchscript",
    "lightning", "deepspeed", "torch_distributed", "gguf", "onnx", "numpy", "keras", "tensorflow_saved_model",
    "tensorflow_hub_module", "tensorflow_checkpoint", "tensorflow_graph", "tflite", "coreml", "flax", "orbax",
    "torch_export", "tfjs", "fasttext", "tokenizer", "unknown",
)  # fmt: skip
"""Every value of `Checkpoint.kind`."""

_SIDE_FILE = re.compile(r"^(optimizer|scheduler|scaler|rng_state|training_args|random_states)[^/]*\.(pt|bin|pth|pkl)$")


def is_side_file(name: str) -> bool:
    """Whether a file of a training run lies beside the weights and holds none: optimizer, scheduler, arguments, …"""
    return _SIDE_FILE.match(name) is not None


_EMBEDDINGS = ("word_embeddings.weight", "embed_tokens.weight", "wte.weight", "shared.weight", "tok_embeddings.weight")
_MODEL_ROLES = ("", "nested", "module")

LEVELS = ("tensors_only", "needs_code", "suspicious", "not_verified", "dangerous")
"""What a pickle asks for, from least to worst; none of them means safe."""


class PickleReport(Record, frozen=True):
    """What reading a pickle's opcodes, without executing any, tells."""

    level: str
    """One of `LEVELS`."""

    globals: tuple[str, ...] = ()
    """Every `module.name` that loading would import, in order of appearance."""

    unlisted: tuple[str, ...] = ()
    """Those that torch's `weights_only` does not allow by default."""

    reasons: tuple[str, ...] = ()
    """Why the level is above `tensors_only`, a sentence each."""

    protocol: int = 0
    top_keys: tuple[str, ...] = ()
    """Keys of the dictionary at the top, as far as they are strings."""

    containers: tuple[tuple[str, int], ...] = ()
    """Keys of the top dictionary that hold tensors, with how many."""

    root: str = ""
    """The class of the pickled object where it is no plain container (`__main__.Net`)."""

    weights_only_error: tuple[str, str] | None = None
    """What `torch.load(weights_only=True)` raises for its contents, `None` where it accepts them."""


class FileReport(Record, frozen=True):
    """One file, read as what its content says it is."""

    name: str
    """Relative to the checkpoint."""

    format: str
    """`safetensors`, `torch_zip`, `torch_legacy`, `pickle`, `gguf`, `json`, … or `unknown`."""

    size: int
    tensors: tuple[Tensor, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    pickle: PickleReport | None = None
    modified: int = 0
    """Modification time in nanoseconds, to see that a file changed."""

    allocated: int | None = None
    """Bytes the file system has allocated; fewer than `size` means holes."""

    def with_problems(self, *problems: Problem) -> FileReport:
        """The same file with further problems."""
        return replace(self, problems=self.problems + problems) if problems else self

    @property
    def fatal(self) -> Problem | None:
        """The first problem for which the format's own loader refuses the file."""
        return next((problem for problem in self.problems if problem.fatal), None)


class JsonFile(Record, frozen=True):
    """A JSON file beside the weights: its text and value, or why there is none."""

    name: str
    text: str = ""
    value: Any = None
    problem: Problem | None = None

    @property
    def mapping(self) -> dict[str, Any]:
        """The value where it is an object, else empty."""
        return self.value if isinstance(self.value, dict) else {}


class Weights(Record, frozen=True):
    """Which weight files `from_pretrained` would read, resolved in its own order.

    Mirrors `transformers/modeling_utils.py` 5.23 `_get_resolved_checkpoint_files`.
    """

    files: tuple[str, ...] = ()
    kind: str = ""
    """`safetensors`, `bin`, or empty where no file has a name that the loader looks for."""

    index: str | None = None
    """Name of the shard index, `None` for a single file."""

    weight_map: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    """Reasons for which the loader fails before it has read a tensor."""


class Tokenizer(Record, frozen=True):
    """The tokenizer files of a checkpoint, as far as they can be read without the library."""

    files: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    """Names of the files that hold a vocabulary."""

    size: int | None = None
    """Tokens including added ones; `None` where no vocabulary could be read."""

    max_id: int | None = None
    max_token: str = ""
    tokenizer_class: str = ""
    lowercases: bool | None = None
    """Whether its normalizer lower-cases; `None` where the files do not say."""

    upper_words: int = 0
    lower_words: int = 0
    """Words of the vocabulary that hold a capital letter, and those that hold letters but none."""

    special_ids: dict[str, int] = field(default_factory=dict)
    beyond: tuple[tuple[str, int], ...] = ()
    """The tokens with the highest ids, highest first (a few)."""

    config: dict[str, Any] = field(default_factory=dict)
    merges_are_pairs: bool = False
    """Whether tokenizer.json holds merges as pairs, the form of tokenizers 0.20 and later."""

    problems: tuple[Problem, ...] = ()
    digest: str = ""
    """Identity of the content of all tokenizer files, so that like tokenizers are asked about once."""


class Part(Record, frozen=True):
    """One part of a composite checkpoint: a component, module, rank, step or shard."""

    name: str
    """Relative to the checkpoint; empty for the directory itself."""

    kind: str
    """Its class or role, as the index says it."""

    present: bool
    names: tuple[str, ...] = ()
    """Entries of its directory (a few hundred at most)."""

    problems: tuple[Problem, ...] = ()
    """What its own files have, where they were read."""

    bytes: int = 0
    """Of its weight files, where they were read."""


class Layout(Record, frozen=True):
    """How a directory is organised beyond its weight files, and what of it is there."""

    name: str
    """`diffusers`, `sentence_transformers`, `deepspeed`, `torch_distributed`, `megatron`, `trainer`, …"""

    parts: tuple[Part, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    """Counts, steps and ranks, by name."""


class Checkpoint(Record, frozen=True, dict=True):
    """A directory or a single file from which a model is loaded."""

    path: str
    """As the user wrote it, joined with what was found below it."""

    root: Path
    kind: str
    files: tuple[FileReport, ...] = ()
    config: JsonFile | None = None
    json_files: dict[str, JsonFile] = field(default_factory=dict)
    weights: Weights = field(default_factory=Weights)
    tokenizer: Tokenizer | None = None
    problems: tuple[Problem, ...] = ()
    """What is wrong with the checkpoint as a whole; the files carry their own."""

    names: tuple[str, ...] = ()
    """Every entry of the directory, so that rules see what is and is not there."""

    sources: dict[str, str] = field(default_factory=dict)
    """Text of the Python files beside the weights, never executed."""

    is_file: bool = False
    layout: Layout | None = None

    @property
    def location(self) -> Path:
        """The directory, or the single file."""
        return self.root / self.files[0].name if self.is_file and self.files else self.root

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The values of config.json, empty where it is absent, broken or no object."""
        return self.config.mapping if self.config is not None else {}

    @cached_property
    def by_name(self) -> dict[str, FileReport]:
        """The files by their name."""
        return {file.name: file for file in self.files}

    @cached_property
    def weight_files(self) -> tuple[FileReport, ...]:
        """The files whose tensors count: those the loader reads, else all that hold tensors."""
        if self.weights.files:
            return tuple(self.by_name[name] for name in self.weights.files if name in self.by_name)
        return tuple(file for file in self.files if file.format not in ("json", "text"))

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors of the weight files, a name held by several shards once (the later shard wins)."""
        if len(self.weight_files) == 1:
            return self.weight_files[0].tensors
        merged: dict[str, Tensor] = {}
        for file in self.weight_files:
            merged.update((tensor.name, tensor) for tensor in file.tensors)
        return tuple(merged.values())

    @cached_property
    def dtypes(self) -> frozenset[str]:
        """Every dtype among the tensors."""
        return frozenset([tensor.dtype for tensor in self.tensors])

    @cached_property
    def roles(self) -> frozenset[str]:
        """Every role among the tensors."""
        return frozenset([tensor.role for tensor in self.tensors])

    @cached_property
    def name_text(self) -> str:
        """The names of all tensors in one string: whether any holds a word is one search in it."""
        return "\n".join([tensor.name for tensor in self.tensors])

    @cached_property
    def embedding(self) -> Tensor | None:
        """The input embedding: rows of the vocabulary."""
        for suffix in _EMBEDDINGS:
            if suffix not in self.name_text:
                continue
            for tensor in self.tensors:
                if tensor.name.endswith(suffix) and len(tensor.shape) == 2 and tensor.role in _MODEL_ROLES:
                    return tensor
        return None

    @cached_property
    def distinct(self) -> tuple[Tensor, ...]:
        """The tensors, each shared storage once."""
        return distinct(self.tensors)

    @cached_property
    def tally(self) -> Tally:
        """Their bytes summed up."""
        return tally(self.distinct)

    @cached_property
    def parameters(self) -> int:
        """Elements in the weight files, shared storages once, state of a training run not counted."""
        if STATE_ROLES.isdisjoint(self.roles):
            return elements_of(self.distinct)
        return elements_of(distinct(without_state(self.tensors)))

    @property
    def tensor_bytes(self) -> int:
        """Bytes of the tensors, shared storages once."""
        return self.tally.bytes

    @cached_property
    def bytes(self) -> int:
        """Bytes of the weight files on disk, those of components counted."""
        parts = self.layout.parts if self.layout is not None else ()
        return sum(file.size for file in self.weight_files) + sum(part.bytes for part in parts)

    @cached_property
    def pickles(self) -> tuple[tuple[FileReport, PickleReport], ...]:
        """Files that hold a pickle, with what is in it."""
        return tuple((file, file.pickle) for file in self.files if file.pickle is not None)

    def all_problems(self) -> tuple[Problem, ...]:
        """Problems of the checkpoint, its weights and every file."""
        found = list(self.problems) + list(self.weights.problems)
        for file in self.files:
            found.extend(file.problems)
        found.extend(document.problem for document in self.json_files.values() if document.problem)
        if self.tokenizer is not None:
            found.extend(self.tokenizer.problems)
        return tuple(dict.fromkeys(found))
