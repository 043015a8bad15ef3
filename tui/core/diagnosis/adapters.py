"""PEFT adapters: whether they are whole, fit their own config, and fit the base model where it is here.

Mirrors `peft/utils/save_and_load.py` 0.21 (`set_peft_model_state_dict`): `base_model.model.MODULE.lora_A.weight`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tui.core.diagnosis.make import edit_json, finding, python_command
from tui.core.text import count_of, listing, printable, shape_text, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.diagnosis.evidence import Evidence, Finding
    from tui.core.tensors import Tensor

_LORA = re.compile(r"^(?P<module>.+)\.(?P<part>lora_(?:embedding_)?[AB])(?:\.(?P<adapter>\w+))?(?:\.weight)?$")
_REPOSITORY = re.compile(r"^\w[\w.-]*(?:/\w[\w.-]*)?$", re.ASCII)
_PREFIX = "base_model.model."
_SHOWN = 6
_MOST_PARTS = 12


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    document = checkpoint.json_files.get("adapter_config.json")
    return document.mapping if document is not None else {}


def _loaded(checkpoint: Checkpoint) -> list[Tensor]:
    """The adapter's tensors: `adapter_model.safetensors`, else `adapter_model.bin`."""
    for name in ("adapter_model.safetensors", "adapter_model.bin"):
        if name in checkpoint.by_name:
            return list(checkpoint.by_name[name].tensors)
    return []


def _pairs(tensors: list[Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by module, then by part (`lora_A`, `lora_B`, …)."""
    out: dict[str, dict[str, Tensor]] = {}
    for tensor in tensors:
        match = _LORA.match(tensor.name)
        if match is not None:
            out.setdefault(match["module"].removeprefix(_PREFIX), {})[match["part"]] = tensor
    return out


def no_weights(evidence: Evidence) -> Iterator[Finding]:
    """A config without the file that goes with it."""
    checkpoint = evidence.checkpoint
    if {"adapter_model.safetensors", "adapter_model.bin"} & set(checkpoint.names):
        return
    others = [file.name for file in checkpoint.files]
    yield finding(
        "adapter-no-weights",
        [f"weight files here: {listing(others) if others else 'none'}",
         f"peft says: ValueError: Can't find weights for {printable(checkpoint.path)} in … or in the Hub."],
    )  # fmt: skip


def base_model(evidence: Evidence) -> Iterator[Finding]:
    """An adapter is no model: which base it needs, and whether that is on this machine."""
    name = _config(evidence.checkpoint).get("base_model_name_or_path")
    shown = printable(str(name), 200) if name else "none"
    here = evidence.base
    words = f"found at {printable(here.path, 200)}" if here is not None else "not found on this machine"
    path = evidence.checkpoint.path
    load = python_command(
        "import sys; from peft import AutoPeftModelForCausalLM as A; print(type(A.from_pretrained(sys.argv[1])))", path
    )
    fetch: tuple[str, ...] = ()
    if here is None and isinstance(name, str) and name:
        elsewhere = "put the base model where adapter_config.json looks for it"
        fetch = (shell("hf", "download", shown),) if _REPOSITORY.match(name) else (elsewhere,)
    yield finding(
        "adapter-adapter-as-model",
        [f"adapter_config.json names the base model {shown}: {words}"],
        title=f"An adapter: it needs its base model {shown}",
        severity="info" if here is not None else "warning",
        fix=(*fetch, load),
    )


def empty(evidence: Evidence) -> Iterator[Finding]:
    """No tensors, or tensors without elements: nothing was gathered before the save."""
    checkpoint = evidence.checkpoint
    files = [file for file in checkpoint.files if file.name.startswith("adapter_model.") and file.fatal is None]
    if not files:
        return
    tensors = _loaded(checkpoint)
    hollow = [tensor for tensor in tensors if tensor.numel == 0]
    if tensors and len(hollow) * 2 <= len(tensors):
        return
    words = f"{files[0].name} has {files[0].size:,} bytes and holds {count_of(len(tensors), 'tensor')}"
    found = (
        f"{len(hollow):,} of them without elements: {listing([item.name for item in hollow])}" if hollow else "nothing"
    )
    yield finding("adapter-empty-weights", [words, found if tensors else "an adapter needs a pair for each module"],
                  file=files[0].name)  # fmt: skip


def ranks(evidence: Evidence) -> Iterator[Finding]:
    """Ranks in the file that differ from the config's `r`."""
    config = _config(evidence.checkpoint)
    rank = config.get("r")
    if type(rank) is not int:
        return
    patterns = config.get("rank_pattern")
    known = patterns if isinstance(patterns, dict) else {}
    lines: list[str] = []
    for module, parts in _pairs(_loaded(evidence.checkpoint)).items():
        expected = _rank_of(module, rank, known)
        for part, axis in (("lora_A", 0), ("lora_B", 1), ("lora_embedding_A", 0), ("lora_embedding_B", 1)):
            tensor = parts.get(part)
            if tensor is not None and len(tensor.shape) > axis and tensor.shape[axis] != expected:
                lines.append(
                    f"{printable(tensor.name)} {shape_text(tensor.shape)}: rank {tensor.shape[axis]}, not {expected}"
                )
    if lines:
        first = lines[0].rpartition("rank ")[2].partition(",")[0]
        yield finding(
            "adapter-shape-mismatch",
            [f"adapter_config.json says r = {rank}; {count_of(len(lines), 'tensor')} differ", *lines[:_SHOWN],
             "peft says: RuntimeError: Error(s) in loading state_dict for PeftModel…: size mismatch for …"],
            title=f"The adapter has rank {first}, its config says {rank}",
            fix=(_with_rank(evidence.checkpoint, first),),
        )  # fmt: skip


def _with_rank(checkpoint: Checkpoint, rank: str) -> str:
    """The command that writes the file's rank into the config."""
    return edit_json(checkpoint, f"c['r'] = {rank}", "adapter_config.json")


def _rank_of(module: str, rank: int, patterns: dict[str, Any]) -> int:
    """The rank of a module: a pattern that its name ends with (`peft/utils/other.py`, `get_pattern_key`), else `r`."""
    for name in _endings(module):
        value = patterns.get(name, patterns.get(f"^{name}"))
        if type(value) is int:
            return value
    return rank


def _endings(name: str) -> list[str]:
    """The name and its last parts, longest first; few enough for files whose names hold thousands of dots."""
    parts = name.rsplit(".", _MOST_PARTS)
    return [".".join(parts[index:]) for index in range(len(parts))]


def against_base(evidence: Evidence) -> Iterator[Finding]:
    """Shapes that the base model's tensors do not have: another base, another version, resized embeddings."""
    if evidence.base is None:
        return
    base: dict[str, tuple[int, ...]] = {}
    for tensor in evidence.base.tensors:
        for ending in _endings(tensor.name.removesuffix(".weight")):
            base.setdefault(ending, tensor.shape)
    wrong: list[str] = []
    for module, parts in _pairs(_loaded(evidence.checkpoint)).items():
        shape = _base_shape(base, module)
        one, two = parts.get("lora_A"), parts.get("lora_B")
        if shape is None or one is None or two is None or min(len(one.shape), len(two.shape), len(shape)) < 2:
            continue
        made = (two.shape[0], one.shape[1])
        if made not in (shape[:2], shape[1::-1]):
            wrong.append(
                f"{printable(module)}: the adapter changes {shape_text(made)}, the base has {shape_text(shape)}"
            )
    if wrong:
        yield finding(
            "adapter-shape-mismatch",
            [f"against {printable(evidence.base.path)}: {count_of(len(wrong), 'module')} differ", *wrong[:_SHOWN]],
            title="The adapter was made for another base model",
            fix=(
                "use the base model and revision that the adapter was trained on (base_model_name_or_path, revision)",
            ),
        )
    yield from _embeddings(evidence, base)


def _base_shape(base: dict[str, tuple[int, ...]], module: str) -> tuple[int, ...] | None:
    """The base tensor of a module; a model with a head holds the base under one prefix more or less."""
    return base.get(module, base.get(module.partition(".")[2]))


def _embeddings(evidence: Evidence, base: dict[str, tuple[int, ...]]) -> Iterator[Finding]:
    """Embeddings saved with the adapter that have another number of rows than the base."""
    for tensor in _loaded(evidence.checkpoint):
        if _LORA.match(tensor.name) or len(tensor.shape) != 2 or not tensor.name.endswith(".weight"):
            continue
        module = tensor.name.removeprefix(_PREFIX).removesuffix(".weight").replace(".modules_to_save.default", "")
        if not re.search(r"(embed|wte|lm_head)", module):
            continue
        shape = _base_shape(base, module)
        if shape is not None and len(shape) == 2 and shape[1] == tensor.shape[1] and shape[0] != tensor.shape[0]:
            rows = tensor.shape[0]
            yield finding(
                "adapter-resized-embeddings",
                [f"{printable(tensor.name)} has {rows:,} rows, the base model {shape[0]:,}",
                 f"peft says: RuntimeError: size mismatch for …: copying a param with shape torch.Size([{rows}, …])"],
                fix=(f"base.resize_token_embeddings({rows}) before PeftModel.from_pretrained(base, adapter)",),
            )  # fmt: skip
            return


def targets(evidence: Evidence) -> Iterator[Finding]:
    """Modules that the config targets and the file has nothing for."""
    wanted = _config(evidence.checkpoint).get("target_modules")
    pairs = _pairs(_loaded(evidence.checkpoint))
    if not isinstance(wanted, list) or not pairs:
        return
    known = {ending for key in pairs for ending in _endings(key)}
    absent = [str(name) for name in wanted if str(name) not in known]
    if absent:
        yield finding(
            "adapter-target-missing",
            [f"target_modules names {listing(absent)}; the file has pairs for {count_of(len(pairs), 'module')}",
             f"for example {listing(list(pairs))}"],
        )  # fmt: skip
