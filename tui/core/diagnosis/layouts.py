"""Composite checkpoints: components, ranks, steps and shards that are missing, and what turns them into a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.diagnosis.make import fetch_again, finding
from tui.core.text import bytes_size, count_of, listing, printable, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Layout, Part
    from tui.core.diagnosis.evidence import Evidence, Finding

_WITHOUT_WEIGHTS = ("Scheduler", "Tokenizer", "TokenizerFast", "FeatureExtractor", "Processor", "ImageProcessor")
_COMPONENT_WEIGHTS = (".safetensors", ".bin", ".msgpack", ".index.json", ".ckpt", ".pt")
_TORCH = 'python -m torch.distributed.checkpoint.format_utils dcp_to_torch "{}" pytorch_model.bin'


def _layout(evidence: Evidence, *names: str) -> Layout | None:
    layout = evidence.checkpoint.layout
    return layout if layout is not None and layout.name in names else None


def components(evidence: Evidence) -> Iterator[Finding]:
    """Parts of a pipeline that are missing, empty, or damaged."""
    layout = _layout(evidence, "diffusers")
    if layout is None:
        return
    for part in layout.parts:
        if not part.present:
            yield _missing_component(evidence, part)
        elif _needs_weights(part) and not any(name.endswith(_COMPONENT_WEIGHTS) for name in part.names):
            yield finding(
                "diffusers-component-missing",
                [f"{printable(part.name)}/ ({printable(part.kind)}) holds {listing(part.names)} and no weights"],
                title=f"The component {printable(part.name)} has no weights",
                fix=fetch_again(evidence.checkpoint, f"{part.name}/*"),
            )
    yield from _damaged_parts(evidence, layout)


def _needs_weights(part: Part) -> bool:
    return not part.kind.endswith(_WITHOUT_WEIGHTS) and "config.json" in part.names


def _missing_component(evidence: Evidence, part: Part) -> Finding:
    return finding(
        "diffusers-component-missing",
        [f"model_index.json names {printable(part.name)} ({printable(part.kind)}); its directory is missing or empty"],
        title=f"The component {printable(part.name)} is missing",
        fix=fetch_again(evidence.checkpoint, f"{part.name}/*"),
    )  # fmt: skip


def _damaged_parts(evidence: Evidence, layout: Layout) -> Iterator[Finding]:
    """What the components' own files have."""
    for part in layout.parts:
        fatal = [problem for problem in part.problems if problem.fatal and problem.code != "shard-no-weights"]
        if fatal:
            yield finding(
                "component-damaged",
                [f"{printable(problem.file or part.name)}: {printable(problem.message)}" for problem in fatal[:4]],
                title=f"The component {printable(part.name)} is damaged",
                file=fatal[0].file,
                fix=fetch_again(evidence.checkpoint, fatal[0].file or part.name),
            )


def modules(evidence: Evidence) -> Iterator[Finding]:
    """Modules of sentence-transformers that are not there."""
    layout = _layout(evidence, "sentence_transformers")
    if layout is None:
        return
    absent = [part for part in layout.parts if not part.present and part.kind not in ("Normalize", "Dropout")]
    for part in absent:
        wanted = f"{part.name}/config.json"
        yield finding(
            "class-st-missing-module-dir",
            [f"modules.json names {printable(part.name)} ({printable(part.kind)}), which is not here"],
            title=f"The module {printable(part.name)} is missing",
            fix=fetch_again(evidence.checkpoint, wanted),
        )
    yield from _damaged_parts(evidence, layout)


def unfinished_step(evidence: Evidence) -> Iterator[Finding]:
    """A step of the Trainer without the file that is written last, or with less than the step before it."""
    layout = _layout(evidence, "trainer")
    if layout is None:
        return
    lines: list[str] = []
    if not layout.facts["finished"] and (layout.facts["training"] or layout.facts.get("sibling_files")):
        lines.append("trainer_state.json is not here, and it is written last: the save was interrupted")
    lines += list(_against_sibling(evidence, layout.facts))
    if not lines:
        return
    sibling = layout.facts.get("sibling")
    resume = sibling or "the step before this one"
    yield finding(
        "file-incomplete-ckpt-dir",
        lines,
        title="The save of this step was interrupted",
        fix=(f"trainer.train(resume_from_checkpoint={resume!r})",
             f"then remove this one: {shell('rm', '-r', str(evidence.checkpoint.root))}"),
    )  # fmt: skip


def _against_sibling(evidence: Evidence, facts: dict[str, Any]) -> Iterator[str]:
    """What the step before has and this one lacks, or has in full."""
    sizes: dict[str, int] = facts.get("sibling_files", {})
    names = set(evidence.checkpoint.names)
    absent = [name for name in sizes if name not in names and not name.endswith((".md", ".txt"))]
    if absent and not facts["finished"]:
        yield f"{facts['sibling']} also has {listing(absent, 6)}"
    for file in evidence.checkpoint.files:
        before = sizes.get(file.name, 0)
        if file.size * 2 < before and file.fatal is not None:
            yield f"{printable(file.name)} has {bytes_size(file.size)}, in {facts['sibling']} {bytes_size(before)}"


def deepspeed(evidence: Evidence) -> Iterator[Finding]:
    """ZeRO's shards: what makes a model of them, and which ranks are missing."""
    layout = _layout(evidence, "deepspeed")
    if layout is None:
        return
    facts, root = layout.facts, evidence.checkpoint.root
    step = facts.get("step", "")
    where = f" in {printable(step)}" if step else ""
    if facts["latest"] and facts["steps"] and facts["latest"] not in facts["steps"]:
        yield finding(
            "file-incomplete-ckpt-dir",
            [f"latest names {printable(str(facts['latest']), 80)}; the steps here are {listing(facts['steps'], 6)}"],
            title="`latest` names a step that is not here",
            fix=(f"echo {facts['steps'][-1]} > {shell(str(root / 'latest'))}",),
        )
    for kind in ("optim", "model"):
        missing = facts[f"{kind}_missing"]
        if missing:
            name = f"zero_pp_rank_{missing[0]}_mp_rank_00_{kind}_states.pt"
            yield finding(
                "deepspeed-rank-file-missing",
                [f"{facts[f'{kind}_ranks']:,} files of {kind} states{where}; without one: rank "
                 f"{listing([str(rank) for rank in missing], 8)}",
                 f"DeepSpeed says: FileNotFoundError: …/{name}"],
            )  # fmt: skip
    if facts["optim_ranks"] or facts["model_ranks"]:
        yield from _unconsolidated(evidence, facts, where)
    elif facts["model_states"]:
        path = str(root / step / facts["model_states"][0])
        yield finding(
            "deepspeed-stage0-convert",
            [f"{listing(facts['model_states'])}{where}, and no zero_pp_rank files: ZeRO stage 0"],
            fix=(f"torch.load({path!r}, weights_only=False)['module'] holds the weights",),
        )


def _beyond(evidence: Evidence, held: int) -> list[str]:
    """Weights of TensorFlow.js, which lie one after another, that so many bytes do not reach."""
    end = 0
    lost: list[str] = []
    for tensor in evidence.checkpoint.tensors:
        end += tensor.nbytes
        if end > held:
            lost.append(printable(tensor.name, 80))
    return [f"not whole: {listing(lost)}"] if lost else []


_TRACES = ("zero_to_fp32.py", "latest")
"""What DeepSpeed leaves beside the file that zero_to_fp32.py writes."""

_HEADS = ("lm_head.weight", "embed_out.weight")
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "shared.weight", "embed_in.weight")


def merged_without_embedding(evidence: Evidence) -> Iterator[Finding]:
    """A file that zero_to_fp32.py wrote with the output head and without the input embedding tied to it."""
    checkpoint = evidence.checkpoint
    if not checkpoint.weights.files or not any(name in checkpoint.names for name in _TRACES):
        return
    config = checkpoint.settings
    names = [tensor.name for tensor in checkpoint.tensors]
    head = next((name for name in names if name.endswith(_HEADS)), None)
    if head is None or config.get("tie_word_embeddings") is False or any(name.endswith(_EMBEDDINGS) for name in names):
        return
    yield finding(
        "deepspeed-tied-missing",
        [f"{listing(checkpoint.weights.files)}: {printable(head, 80)} is there, no input embedding is",
         "load_state_dict says: RuntimeError: Missing key(s) in state_dict"],
        file=checkpoint.weights.files[0],
    )  # fmt: skip


def _unconsolidated(evidence: Evidence, facts: dict[str, Any], where: str) -> Iterator[Finding]:
    """Only shards: no file that `from_pretrained` reads."""
    checkpoint = evidence.checkpoint
    if checkpoint.weights.files:
        return
    stage = "3" if facts["model_ranks"] else "1 or 2"
    directory = str(
        checkpoint.root if facts["steps"] or "zero_to_fp32.py" in checkpoint.names else checkpoint.root.parent
    )
    yield finding(
        "deepspeed-zero-checkpoint-only",
        [f"ZeRO stage {stage}: {facts['optim_ranks']:,} ranks of optimizer states, {facts['model_ranks']:,} of model "
         f"states{where}", "no pytorch_model.bin or model.safetensors: from_pretrained finds no weights here"],
        fix=(f"cd {shell(directory)} && python zero_to_fp32.py . pytorch_model.bin",),
    )  # fmt: skip


def distributed(evidence: Evidence) -> Iterator[Finding]:
    """Sharded saves of torch: what they need to be merged, and what of it is missing."""
    layout = _layout(evidence, "torch_distributed")
    if layout is None:
        return
    facts, path = layout.facts, evidence.checkpoint.path
    if not facts["metadata"] and "world_size" not in facts:
        yield finding(
            "fsdp-sharded",
            [f"{count_of(facts['files'], 'file')} of {count_of(facts['ranks'], 'rank')}, and no .metadata, which names "
             "the tensors and is written last", "torch says: CheckpointException: … FileNotFoundError"],
            title="The sharded checkpoint has no .metadata",
            fix=("use the step before: the save was interrupted",),
            severity="error",
        )  # fmt: skip
        return
    described = evidence.checkpoint.by_name.get(".metadata")
    if described is not None and described.format != "dcp_metadata" and described.fatal is None:
        words = "is no pickle: it names neither the tensors nor where their pieces lie"
        yield finding("pickle-broken", [f".metadata {words}"], title="pickle", file=".metadata", offset=0)
    merge = _TORCH.format(path)
    if "world_size" in facts:
        merge = "load it in a run of as many ranks as wrote it, or merge it with the tool that wrote it"
        if facts["missing"]:
            yield finding(
                "dist-shard-missing",
                [f"{facts['ranks']:,} of {facts['world_size']:,} ranks; not here: "
                 f"{listing([str(rank) for rank in facts['missing']], 8)}"],
                fix=("copy the files of the other nodes here",),
            )  # fmt: skip
    yield finding(
        "fsdp-sharded",
        [f"{count_of(facts['files'], 'file')} of {count_of(facts['ranks'], 'rank')}"],
        fix=(merge, f"accelerate merge-weights {shell(path)} merged"),
    )


def megatron(evidence: Evidence) -> Iterator[Finding]:
    """Tensor and pipeline parallel slices."""
    layout = _layout(evidence, "megatron")
    if layout is None:
        return
    facts = layout.facts
    lines = [
        f"{len(layout.parts):,} directories: tensor parallel {facts['tensor']}, pipeline parallel {facts['pipeline']}"
    ]
    hollow = [part.name for part in layout.parts if not part.present]
    if facts["missing"] or hollow:
        lines.append(f"missing or empty: {listing([*facts['missing'], *hollow], 8)}")
    yield finding(
        "dist-megatron-tp",
        lines,
        severity="error" if facts["missing"] or hollow else "info",
        title="Slices of the Megatron checkpoint are missing" if facts["missing"] or hollow else "",
        fix=(f"--tensor-model-parallel-size {facts['tensor']} --pipeline-model-parallel-size {facts['pipeline']}",
             "python tools/checkpoint/convert.py --target-tensor-parallel-size 1 --target-pipeline-parallel-size 1"),
    )  # fmt: skip


def consolidated(evidence: Evidence) -> Iterator[Finding]:
    """Meta's own files: as many as the processes that load them."""
    layout = _layout(evidence, "consolidated")
    if layout is None:
        return
    count, missing = layout.facts["count"], layout.facts["missing"]
    lines = [f"consolidated.00 to consolidated.{count - 1:02}: model parallel {count}"]
    if missing:
        lines.append(f"not here: {listing([f'consolidated.{number:02}' for number in missing], 8)}")
    if not layout.facts["params"]:
        lines.append("params.json is not here: the loader reads the model's sizes from it")
    broken = bool(missing) or not layout.facts["params"]
    yield finding(
        "shard-mp-world-size",
        lines,
        severity="error" if broken else "info",
        title="Parts of the consolidated checkpoint are missing" if broken else "",
        fix=(f"torchrun --nproc_per_node {count} …",),
    )


def shards(evidence: Evidence) -> Iterator[Finding]:
    """Shards and items that an index names: TensorFlow.js, CoreML packages, Orbax."""
    layout = _layout(evidence, "tfjs", "coreml", "orbax")
    if layout is None:
        return
    absent = [part.name for part in layout.parts if not part.present]
    if absent:
        yield finding(
            "layout-part-missing",
            [f"{count_of(len(absent), 'part')} that the index names and that are not here: {listing(absent, 6)}"],
            fix=fetch_again(evidence.checkpoint, *absent[:4]),
        )
    wanted = layout.facts.get("wanted_bytes")
    held = layout.facts.get("bytes")
    if layout.name != "tfjs" or absent or wanted is None or held is None:
        return
    last = layout.parts[-1].name if layout.parts else "model.json"
    if held > wanted:
        words = f"the shards hold {held:,} bytes, the weights need {wanted:,}: the rest is not looked at"
        yield finding("bytes-after-end", [words], file=last)
    elif held < wanted:
        yield finding(
            "layout-part-missing",
            [f"the shards hold {held:,} bytes, the weights need {wanted:,}", *_beyond(evidence, held)],
            title="The shards do not have the size of the weights",
            file=last,
        )
