"""Failures of GGUF files beyond damage: what llama.cpp checks of a model's numbers (`llama-model.cpp`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.diagnosis.make import fetch_again, finding
from tui.core.text import count_of, listing, printable, shape_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint, FileReport
    from tui.core.diagnosis.evidence import Evidence, Finding

KNOWN_ARCHITECTURES = frozenset(
    {
        "afmoe", "apertus", "arcee", "arctic", "arwkv7", "baichuan", "bailingmoe", "bailingmoe2", "bert",
        "bitnet", "bloom", "chameleon", "chatglm", "clip", "codeshell", "cogvlm", "cohere2", "command-r",
        "dbrx", "deci", "deepseek", "deepseek2", "deepseek2-ocr", "dots1", "dream", "ernie4_5", "ernie4_5-moe",
        "eurobert", "exaone", "exaone-moe", "exaone4", "falcon", "falcon-h1", "gemma", "gemma-embedding",
        "gemma2", "gemma3", "gemma3n", "gemma4", "glm-dsa", "glm4", "glm4moe", "gpt-oss", "gpt2", "gptj",
        "gptneox", "granite", "granitehybrid", "granitemoe", "grok", "grovemoe", "hunyuan-dense", "hunyuan-moe",
        "hunyuan_vl", "internlm2", "jais", "jais2", "jamba", "jina-bert-v2", "jina-bert-v3", "kimi-linear",
        "lfm2", "lfm2moe", "llada", "llada-moe", "llama", "llama-embed", "llama4", "maincoder", "mamba",
        "mamba2", "mimo2", "minicpm", "minicpm3", "minimax-m2", "mistral3", "mistral4", "modern-bert", "mpt",
        "nemotron", "nemotron_h", "nemotron_h_moe", "neo-bert", "nomic-bert", "nomic-bert-moe", "olmo", "olmo2",
        "olmoe", "openelm", "orion", "paddleocr", "pangu-embedded", "phi2", "phi3", "phimoe", "plamo", "plamo2",
        "plamo3", "plm", "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen35", "qwen35moe", "qwen3moe",
        "qwen3next", "qwen3vl", "qwen3vlmoe", "refact", "rnd1", "rwkv6", "rwkv6qwen2", "rwkv7", "seed_oss",
        "smallthinker", "smollm3", "stablelm", "starcoder", "starcoder2", "step35", "t5", "t5encoder",
        "wavtokenizer-dec", "xverse",
    }
)  # fmt: skip
"""`MODEL_ARCH_NAMES` of gguf 0.19; a test compares the set with the installed package's."""


def _readable(checkpoint: Checkpoint) -> Iterator[FileReport]:
    """GGUF models whose header was read to its end; projectors and adapters have numbers of their own."""
    for file in checkpoint.files:
        if file.format == "gguf" and file.tensors and file.metadata.get("general.type", "model") == "model":
            yield file


def architecture(evidence: Evidence) -> Iterator[Finding]:
    """An architecture that no engine known here has."""
    for file in _readable(evidence.checkpoint):
        name = file.metadata.get("general.architecture", "")
        if name in KNOWN_ARCHITECTURES or file.metadata.get("split.no"):
            continue
        shown = printable(str(name), 60)
        yield finding(
            "gguf-unknown-arch",
            [
                f"{printable(file.name)}: general.architecture is '{shown}'",
                f"llama.cpp says: error loading model architecture: unknown model architecture: '{shown}'",
            ],
            file=file.name,
            confidence="likely",
            severity="warning",
        )


def _count(value: Any) -> int | None:
    """Elements of an array of the metadata."""
    if isinstance(value, list):
        return len(value)
    count = value.get("count") if isinstance(value, dict) else None
    return count if isinstance(count, int) else None


def vocabulary(evidence: Evidence) -> Iterator[Finding]:
    """More or fewer tokens than the embedding has rows."""
    for file in _readable(evidence.checkpoint):
        tokens = _count(file.metadata.get("tokenizer.ggml.tokens"))
        rows = next((item.shape for item in file.tensors if item.name == "token_embd.weight"), ())
        if tokens is None or len(rows) != 2 or rows[1] == tokens:
            continue
        yield finding(
            "gguf-vocab-shape",
            [
                f"{printable(file.name)}: tokenizer.ggml.tokens has {tokens:,} tokens, token_embd.weight is "
                f"{shape_text(rows)}: {rows[1]:,} rows",
                f"llama.cpp says: tensor 'token_embd.weight' has wrong shape; expected {rows[0]}, {tokens}, "
                f"got {rows[0]}, {rows[1]}, 1, 1",
            ],
            file=file.name,
        )


def head_size(evidence: Evidence) -> Iterator[Finding]:
    """A query projection that fits neither embedding_length nor heads times key_length."""
    for file in _readable(evidence.checkpoint):
        name = file.metadata.get("general.architecture", "")
        keys = (f"{name}.{key}" for key in ("embedding_length", "attention.head_count", "attention.key_length"))
        width, heads, key_length = (file.metadata.get(key) for key in keys)
        query = next((item for item in file.tensors if item.name == "blk.0.attn_q.weight"), None)
        if query is None or len(query.shape) != 2 or type(width) is not int or type(heads) is not int or heads < 1:
            continue
        expected = heads * key_length if type(key_length) is int else width
        if query.shape == (width, expected):
            continue
        words = (
            f"attention.key_length is {key_length}" if key_length is not None else "there is no attention.key_length"
        )
        yield finding(
            "gguf-head-dim",
            [
                f"{printable(file.name)}: embedding_length {width:,}, head_count {heads:,}; {words}",
                f"blk.0.attn_q.weight is {shape_text(query.shape)}, expected {shape_text((width, expected))}: "
                f"the true head size is {query.shape[1] / heads:g}",
                f"llama.cpp says: tensor 'blk.0.attn_q.weight' has wrong shape; expected {width}, {expected}, "
                f"got {query.shape[0]}, {query.shape[1]}",
            ],
            file=file.name,
        )


def truncated_adapter(evidence: Evidence) -> Iterator[Finding]:
    """An adapter with bytes missing: older engines load it and say nothing."""
    for file in evidence.checkpoint.files:
        cut = next((problem for problem in file.problems if problem.code == "gguf-truncated"), None)
        if cut is None or file.metadata.get("general.type") != "adapter":
            continue
        yield finding(
            "gguf-lora-truncated-silent",
            [f"{printable(file.name)}: {printable(cut.message)}"],
            file=file.name,
            fix=fetch_again(evidence.checkpoint, file.name),
        )


def no_gguf(evidence: Evidence) -> Iterator[Finding]:
    """What lies under the name of a GGUF and is none: zeros, a web page, the format before it."""
    for file in evidence.checkpoint.files:
        if file.format == "ggml":
            yield finding(
                "gguf-old-ggml",
                [f"{printable(file.name)}: begins with the magic of GGML, which GGUF replaced"],
                file=file.name,
            )
        code = {"zeros": "gguf-zero-header", "html": "html-gguf"}.get(file.format)
        if code is None or not file.name.lower().endswith(".gguf"):
            continue
        yield finding(
            code,
            [f"{printable(file.name)}: {printable(file.problems[0].message) if file.problems else file.format}",
             "llama.cpp says: gguf_init_from_file: invalid magic characters"],
            file=file.name,
            fix=fetch_again(evidence.checkpoint, file.name),
        )  # fmt: skip


def mixed_parts(evidence: Evidence) -> Iterator[Finding]:
    """Parts of a split model that do not belong together (`llama-model-loader.cpp` of llama.cpp)."""
    from tui.core.formats.gguf import SPLIT

    sets: dict[str, list[tuple[int, FileReport]]] = {}
    for file in evidence.checkpoint.files:
        match = SPLIT.match(file.name)
        if match is not None and file.format == "gguf" and file.fatal is None:
            sets.setdefault(f"{match['stem']}-of-{match['count']}", []).append((int(match["number"]), file))
    for parts in sets.values():
        found = [*_misnumbered(parts), *_doubled(parts), *_miscounted(parts)]
        for name, words, said in found[:1]:
            more = [line for _, line, _ in found[1:4]]
            yield finding(
                "gguf-split-mixed", [f"{printable(name)}: {words}", *more, f"llama.cpp says: {said}"], file=name,
                fix=fetch_again(evidence.checkpoint, name),
            )  # fmt: skip


def _misnumbered(parts: list[tuple[int, FileReport]]) -> Iterator[tuple[str, str, str]]:
    """(file, what is wrong, llama.cpp's words) of parts whose own number is not that of their name."""
    for number, file in parts:
        own = file.metadata.get("split.no")
        if type(own) is int and own != number - 1:
            said = f"invalid split file idx: {own} (file: {printable(file.name)}), expected {number - 1}"
            yield file.name, f"says that it is part {own + 1}, its name says {number}", said


def _doubled(parts: list[tuple[int, FileReport]]) -> Iterator[tuple[str, str, str]]:
    """The same of parts with a tensor that an earlier one has."""
    seen: dict[str, str] = {}
    for _, file in parts:
        twice = [tensor.name for tensor in file.tensors if tensor.name in seen]
        if twice:
            words = f"{count_of(len(twice), 'tensor')} that {printable(seen[twice[0]])} has too: {listing(twice)}"
            said = f"invalid model: tensor '{printable(twice[0], 80)}' is duplicated"
            yield file.name, words, said
        seen.update({tensor.name: file.name for tensor in file.tensors})


def _miscounted(parts: list[tuple[int, FileReport]]) -> Iterator[tuple[str, str, str]]:
    """The same where all parts are here and hold more or fewer tensors than the first announces."""
    first = next((file for number, file in parts if number == 1), None)
    total = first.metadata.get("split.tensors.count") if first is not None else None
    held = sum(len(file.tensors) for _, file in parts)
    if first is not None and type(total) is int and len(parts) == first.metadata.get("split.count") and held != total:
        said = f"corrupted model: {total} tensors expected but {held} found"
        yield parts[-1][1].name, f"the parts hold {held:,} tensors, the first announces {total:,}", said
