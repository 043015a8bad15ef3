"""The class that a checkpoint is for: code of its own, layouts that another library wants, heads that are not there."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

from tui.core.diagnosis.make import finding
from tui.core.text import listing, printable, shape_text, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.diagnosis.evidence import Evidence, Finding

_GENERATING = frozenset(
    {
        "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text",
        "phi", "phi3", "gpt2", "gpt_neox", "falcon", "opt", "olmo", "olmo2", "stablelm", "starcoder2", "deepseek_v2",
        "deepseek_v3", "cohere", "granite", "bloom", "mpt",
    }
)  # fmt: skip
"""Families of text generators: saved without a head, they are refused by servers that generate."""

_WHOLE = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.", "conditioner.")
_DENOISER = ("model.diffusion_model.", "double_blocks.", "single_blocks.", "joint_blocks.", "diffusion_model.")
_AVAILABLE = "_available"


def remote_files(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Python files here that `auto_map` names; those of another repository are not here to be read."""
    automatic = checkpoint.settings.get("auto_map")
    values = automatic.values() if isinstance(automatic, dict) else ()
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    names = {item.partition(".")[0] + ".py" for item in flat if isinstance(item, str) and "--" not in item}
    return tuple(sorted(names & set(checkpoint.sources)))


def remote_imports(checkpoint: Checkpoint) -> dict[str, str]:
    """Module → the file that imports it, for every top-level package that the checkpoint's own code needs.

    Mirrors `transformers/dynamic_module_utils.py` 5.23 `get_imports`: imports inside `try` and inside
    `if …_available():` are optional, relative ones lie in the checkpoint.
    """
    found: dict[str, str] = {}
    for file in remote_files(checkpoint):
        try:
            tree = ast.parse(checkpoint.sources[file])
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for name in _needed(tree):
            if name not in sys.stdlib_module_names:
                found.setdefault(name, file)
    return found


def _needed(tree: ast.AST) -> Iterator[str]:
    """Top-level packages of unconditional imports, without recursion: the nesting is the file's."""
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Try) or (isinstance(node, ast.If) and _asks_first(node.test)):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]
        nodes.extend(ast.iter_child_nodes(node))


def _asks_first(test: ast.expr) -> bool:
    """Whether a condition is a call of one of the library's `is_…_available` functions."""
    function = test.func if isinstance(test, ast.Call) else None
    name = str(getattr(function, "id", "") or getattr(function, "attr", ""))
    return name.startswith("is_flash_attn") or name.endswith(_AVAILABLE)


def remote_packages(evidence: Evidence) -> Iterator[Finding]:
    """Packages that the checkpoint's own code imports and the environment lacks."""
    states = evidence.importable or {}
    needed = remote_imports(evidence.checkpoint) if states else {}
    absent = [name for name in needed if states.get(f"{name}.__name__", "").startswith("module missing")]
    if absent:
        words = "This modeling file requires the following packages that were not found in your environment: "
        yield finding(
            "class-remote-import-missing",
            [
                *(f"{printable(needed[name])} imports {printable(name)}" for name in absent[:4]),
                f"with trust_remote_code=True: ImportError: {words}{printable(', '.join(absent), 200)}",
            ],
            file=needed[absent[0]],
            fix=(shell("pip", "install", *(printable(name.replace("_", "-"), 60) for name in absent[:8])),),
        )


def made_up_pooling(evidence: Evidence) -> Iterator[Finding]:
    """A release of sentence-transformers without the list of its modules."""
    checkpoint = evidence.checkpoint
    if "config_sentence_transformers.json" in checkpoint.names and "modules.json" not in checkpoint.names:
        yield finding(
            "class-st-no-modules",
            ["config_sentence_transformers.json is here, modules.json is not"],
            file="config_sentence_transformers.json",
        )


def single_file_diffusion(evidence: Evidence) -> Iterator[Finding]:
    """One file with a whole diffusion pipeline, or with its denoiser alone: neither is a directory of diffusers."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind not in ("safetensors", "torch", "lightning") or "model_index.json" in checkpoint.names:
        return
    names = [tensor.name.removeprefix("state_dict.") for tensor in checkpoint.tensors]
    parts = {part for part in _WHOLE if any(name.startswith(part) for name in names)}
    denoiser = {part for part in _DENOISER if any(name.startswith(part) for name in names)}
    counted = f"{len(names):,} tensors under {listing(sorted(parts | denoiser), 4)}"
    if len(parts) > 1:
        path = str(checkpoint.root / checkpoint.weight_files[0].name)
        yield finding(
            "class-diffusers-layout",
            [counted, "no model_index.json beside it"],
            severity="info",
            fix=(f"StableDiffusionXLPipeline.from_single_file({path!r}), or the pipeline of its family",),
        )
    elif denoiser:
        yield finding("class-unet-only", [counted, "no text encoder and no VAE in it"], severity="info")


def inpaint_channels(evidence: Evidence) -> Iterator[Finding]:
    """A denoiser whose first layer takes another number of channels than its config says."""
    checkpoint = evidence.checkpoint
    said = checkpoint.settings.get("in_channels")
    if not isinstance(checkpoint.settings.get("_class_name"), str) or type(said) is not int:
        return
    first = next((tensor for tensor in checkpoint.tensors if tensor.name == "conv_in.weight"), None)
    if first is not None and len(first.shape) == 4 and first.shape[1] != said:
        yield finding(
            "class-inpaint-channels",
            [f"conv_in.weight {shape_text(first.shape)} takes {first.shape[1]} channels, config.json says {said}"],
            file="config.json",
        )


def bare_generator(evidence: Evidence) -> Iterator[Finding]:
    """A text generator saved by the class that has no head."""
    config = evidence.checkpoint.settings
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else ""
    bare = isinstance(first, str) and first.endswith("Model") and "Head" not in first
    if not bare or config.get("model_type") not in _GENERATING:
        return
    if not any("lm_head" in tensor.name for tensor in evidence.checkpoint.tensors):
        yield finding(
            "class-base-model-arch",
            [f"architectures: {printable(first)}; no lm_head in the file"],
            file="config.json",
        )


def head_beside_tie(evidence: Evidence) -> Iterator[Finding]:
    """A config that ties the output layer, and the layer stored all the same."""
    checkpoint = evidence.checkpoint
    if checkpoint.settings.get("tie_word_embeddings") is not True or checkpoint.kind != "transformers":
        return
    if "lm_head.weight" not in checkpoint.name_text:
        return
    head = next((tensor for tensor in checkpoint.tensors if tensor.name.endswith("lm_head.weight")), None)
    if head is not None and not head.storage:
        yield finding(
            "config-lm-head-extra-when-tied",
            [f"tie_word_embeddings is true; {printable(head.name)} {shape_text(head.shape)} is in the file"],
            file=head.file,
        )


RULES = (
    remote_packages, made_up_pooling, single_file_diffusion, inpaint_channels, bare_generator, head_beside_tie,
)  # fmt: skip
"""In the order in which they are asked."""
