"""What belongs beside the weights and is absent or of another kind: processor, template, tokenizer files, layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tui.core.diagnosis.make import fetch_again, finding
from tui.core.files import FileProblem, open_regular
from tui.core.partial import is_partial
from tui.core.text import listing, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.diagnosis.evidence import Evidence, Finding

_PROCESSORS = frozenset({"preprocessor_config.json", "processor_config.json", "feature_extractor_config.json"})
_SENSES = ("vision_config", "audio_config", "image_size", "num_mel_bins", "vision_tower")
_CHAT = re.compile(r"(^|[-_/.])(chat|instruct|it)($|[-_/.])", re.IGNORECASE)
_LAYER = re.compile(r"\.(?:layers|layer|h|blocks|block)\.(\d{1,5})\.")
_PIECES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model")
_WEIGHT_NORM = re.compile(r"\.weight_[gv]$")


def processor(evidence: Evidence) -> Iterator[Finding]:
    """A model that sees or hears, saved without what prepares its input."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind != "transformers" or _PROCESSORS & set(checkpoint.names) or not checkpoint.tensors:
        return
    senses = [key for key in _SENSES if key in checkpoint.settings]
    text = checkpoint.tokenizer is not None
    if senses and text:
        yield finding(
            "tokenizer-processor-missing",
            [f"config.json has {listing(senses, 3)}; none of {listing(sorted(_PROCESSORS))} is here"],
        )


def chat_template(evidence: Evidence) -> Iterator[Finding]:
    """A model named as one for chats, whose tokenizer has no template."""
    checkpoint = evidence.checkpoint
    tokenizer = checkpoint.tokenizer
    if tokenizer is None or checkpoint.kind != "transformers" or not _CHAT.search(checkpoint.root.name):
        return
    beside = {"chat_template.jinja", "chat_template.json"} & set(checkpoint.names)
    if not beside and not tokenizer.config.get("chat_template"):
        yield finding(
            "tokenizer-chat-template",
            [f"{printable(checkpoint.root.name, 80)} is named as a chat model; its tokenizer has no template"],
        )


def remote_tokenizer(evidence: Evidence) -> Iterator[Finding]:
    """A tokenizer that is code of the checkpoint's own."""
    checkpoint = evidence.checkpoint
    tokenizer = checkpoint.tokenizer
    automatic = tokenizer.config.get("auto_map") if tokenizer is not None else None
    named = automatic.get("AutoTokenizer") if isinstance(automatic, dict) else None
    first = next((item for item in (named if isinstance(named, list) else [named]) if isinstance(item, str)), "")
    if not first:
        return
    file = first.rpartition("--")[2].partition(".")[0] + ".py"
    here = file in checkpoint.names
    yield finding(
        "tokenizer-class-remote",
        [f"auto_map names {printable(first, 120)}", f"{printable(file, 80)} is {'' if here else 'not '}beside it"],
        file="tokenizer_config.json",
    )


def sentencepiece(evidence: Evidence) -> Iterator[Finding]:
    """A sentencepiece model whose first bytes are none: protobuf field 1, a message, begins every real one."""
    checkpoint = evidence.checkpoint
    if checkpoint.tokenizer is None or checkpoint.is_file:
        return
    for name in _PIECES:
        if name not in checkpoint.tokenizer.files:
            continue
        try:
            with open_regular(checkpoint.root / name, name) as file:
                head, size = file.head(64), file.size
        except FileProblem:
            continue
        if size > 64 and head[:1] == b"\x0a":
            continue
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in head[:24])
        yield finding(
            "tokenizer-spm-corrupt",
            [f"{name}: {size:,} bytes, beginning with {shown!r}"],
            file=name,
            fix=fetch_again(checkpoint, name),
        )


def layer_gap(evidence: Evidence) -> Iterator[Finding]:
    """Layers that are missing in the middle of a row: a shard that no index names."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind != "transformers":
        return
    rows = _layers([tensor.name for tensor in checkpoint.tensors])
    for stem, numbers in rows.items():
        gap = sorted(set(range(max(numbers) + 1)) - numbers)
        if len(numbers) > 1 and gap and len(gap) < len(numbers):
            yield finding(
                "shard-silently-dropped",
                [f"{printable(stem, 80)}: up to {max(numbers)}, absent: {listing([str(item) for item in gap], 8)}"],
            )
            return


def _layers(names: list[str]) -> dict[str, set[int]]:
    """The numbers of each row of layers, by what its names begin with; of rows within rows the outermost."""
    rows: dict[str, set[int]] = {}
    last = "\n"
    for name in names:
        if name.startswith(last):  # a layer's tensors mostly stand together
            continue
        match = _LAYER.search(name)
        if match is not None:
            last = name[: match.end()]
            rows.setdefault(name[: match.start() + 1], set()).add(int(match[1]))
    return rows


def no_tensors(evidence: Evidence) -> Iterator[Finding]:
    """A safetensors file of metadata alone."""
    for file in evidence.checkpoint.weight_files:
        if file.format == "safetensors" and not file.tensors and not file.problems:
            yield finding("safetensors-metadata-only", [f"{file.name}: {file.size} bytes, 0 tensors"], file=file.name)


def incomplete(evidence: Evidence) -> Iterator[Finding]:
    """A download beside the weights that was not finished."""
    names = [name for name in evidence.checkpoint.names if is_partial(name)]
    if names:
        yield finding("hub-incomplete", [f"here: {listing(names, 4)}"], file=names[0])


def old_weight_norm(evidence: Evidence) -> Iterator[Finding]:
    """Weight norm under names that this loader does not translate."""
    comparison = evidence.comparison
    if comparison is None:
        return
    old = [key for key in comparison.unexpected if _WEIGHT_NORM.search(key)]
    new = [key for key in comparison.missing if "parametrizations.weight.original" in key]
    if old and new:
        yield finding("class-weight-norm", [f"not used: {listing(old, 3)}", f"newly initialised: {listing(new, 3)}"])


def several_tokens(evidence: Evidence) -> Iterator[Finding]:
    """Multi-token prediction layers that the class drops."""
    comparison = evidence.comparison
    dropped = (
        [key for key in comparison.unexpected if re.search(r"(^|\.)mtp[._]", key)] if comparison is not None else []
    )
    if dropped:
        yield finding("class-mtp-silent-random", [f"not used: {listing(dropped, 4)}"])


def delta(evidence: Evidence) -> Iterator[Finding]:
    """A release that is named as a difference to a base model."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind == "transformers" and re.search(r"(^|[-_])delta([-_]|$)", checkpoint.root.name, re.IGNORECASE):
        yield finding(
            "class-delta-weights",
            [f"the directory is named {printable(checkpoint.root.name, 80)}"],
            confidence="likely",
        )


ALWAYS = (processor, layer_gap, no_tensors, incomplete, delta)
"""Those that look at any checkpoint."""
