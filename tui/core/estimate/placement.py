"""Where accelerate's automatic balanced placement puts the blocks of a model.

Mirrors `get_balanced_memory`, `get_max_layer_size` and `infer_auto_device_map` of accelerate 1.15 (`utils/modeling.py`)
on the tensors of the files alone. Files list tensors by name, the library walks modules in the order of the model:
embeddings, layers, what follows them, then the head; that order is restored here from the names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tui.core.estimate.model import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_DEPTH = 24
_FIRST = re.compile(r"^(embed\w*|\w*embeddings?|wte|wpe|word_embed\w*|shared|tok\w*|pos\w*|embed_in)$")
_WORDS = re.compile(r"^(wte|shared|embed_tokens|embed_in|word_embed\w*|tok_embed\w*|token_embed\w*)$")
_LAST = re.compile(r"^(lm_head|embed_out|classifier|score|qa_outputs|cls|output|head|pre_classifier|vocab_projector)$")
_WHOLE_EMBEDDINGS = frozenset({
    "audio-spectrogram-transformer", "bert", "camembert", "data2vec-text", "deit", "dinov2", "dinov3_vit", "modernbert",
    "nomic_bert", "roberta", "vit", "xlm-roberta", "xlm-roberta-xl", "yolos",
})  # fmt: skip
"""Families that list their embeddings among the modules that are not split (`_no_split_modules`)."""

_GPU_SHARE = 0.9
"""What accelerate takes of a single GPU's free memory."""


@dataclass
class Block:
    """A module: its own size with everything below it, and its parts in the order of the model."""

    name: str
    size: int = 0
    parts: dict[str, Block] = field(default_factory=dict)
    whole: bool = False
    """Whether it is never split: a layer of the decoder or encoder, with some families the embeddings too."""

    is_tensor: bool = False
    holds_layers: bool = False
    """Whether numbered modules lie somewhere below."""

    @property
    def is_leaf(self) -> bool:
        """Whether it has no modules below it."""
        return all(part.is_tensor for part in self.parts.values())


def tree_of(tensors: Iterable[tuple[str, int]], model_type: str = "") -> Block:
    """The modules that tensors' names describe, in the order of the model. Names deeper than any model's are cut."""
    root = Block("")
    for name, size in tensors:
        here = root
        here.size += size
        pieces = name.split(".", MAX_DEPTH)
        numbered = max((depth for depth, piece in enumerate(pieces) if piece.isdecimal()), default=0)
        for depth, piece in enumerate(pieces):
            if piece not in here.parts:
                path = f"{here.name}.{piece}" if here.name else piece
                here.parts[piece] = Block(path)
            here = here.parts[piece]
            here.size += size
            here.is_tensor = depth == len(pieces) - 1
            here.holds_layers = here.holds_layers or depth < numbered
    _arrange(root, model_type in _WHOLE_EMBEDDINGS)
    return root


def _arrange(root: Block, whole_embeddings: bool) -> None:
    """Order every module's parts, and mark the layers. Without recursion: names come from a file."""
    pending = [(root, False)]
    while pending:
        block, inside = pending.pop()
        numbered = bool(block.parts) and all(piece.isdecimal() for piece in block.parts)
        if numbered:
            block.parts = dict(sorted(block.parts.items(), key=lambda item: int(item[0])))
        else:
            block.parts = dict(sorted(block.parts.items(), key=_rank))
        for piece, part in block.parts.items():
            indivisible = numbered or (whole_embeddings and piece == "embeddings")
            part.whole = indivisible and not inside and bool(part.parts)
            pending.append((part, inside or part.whole))


def _rank(item: tuple[str, Block]) -> int:
    """Embeddings first, then encoder before decoder and what holds layers, then the rest, the heads last."""
    piece, block = item
    if _FIRST.match(piece):
        return 0 if _WORDS.match(piece) else 1
    if block.holds_layers:
        return 3 if piece == "decoder" else 2
    return 5 if _LAST.match(piece) else 4


def balanced(root: Block, limits: Sequence[int]) -> list[int]:
    """The devices' limits lowered so that each gets an equal share and a bit; the last one keeps its own."""
    usable = [limit for limit in limits if limit > 0]
    if not usable:
        return list(limits)
    share = root.size // len(usable) + int(1.25 * max(_first_layer(root), _mean_leaf(root)))
    last = max(index for index, limit in enumerate(limits) if limit > 0)
    return [limit if index == last else min(share, limit) for index, limit in enumerate(limits)]


def _first_layer(root: Block) -> int:
    """The size of a layer: of each list of layers the first counts, as accelerate looks at the first of each class."""
    firsts: list[int] = []
    pending = [root]
    while pending:
        block = pending.pop()
        layers = [part for part in block.parts.values() if part.whole]
        if layers:
            firsts.append(layers[0].size)
        pending += [part for part in block.parts.values() if not part.whole]
    return max(firsts, default=0)


def _mean_leaf(root: Block) -> int:
    """The mean size of the modules that hold parameters only."""
    sizes: list[int] = []
    pending = [root]
    while pending:
        block = pending.pop()
        if block.parts and block.is_leaf:
            sizes.append(block.size)
        pending += block.parts.values()
    return sum(sizes) // len(sizes) if sizes else 0


def place(root: Block, devices: Sequence[tuple[str, int]], cpu: int | None) -> tuple[Part, ...]:
    """Each device's share of the model; what fits nowhere lies on `disk`. `devices` are (name, limit in bytes)."""
    limits: list[tuple[str, int | None]] = [*devices, ("cpu", cpu or 0), ("disk", None)]
    main = {limits[0][0], "cpu"}
    held = {name: [0, 0] for name, _ in limits}
    reserved = dict.fromkeys(held, 0)
    waiting = list(reversed(root.parts.values()))
    largest = _Largest(waiting)
    current = 0
    while waiting:
        block = waiting.pop()
        keep = largest.without(block, waiting)
        name, limit = limits[current]
        room = None if limit is None else limit - (keep if name in main else 0)
        used = held[name][0] + reserved[name]
        if room is None or used + block.size <= room:
            held[name][0] += block.size
            held[name][1] += 1
            continue
        if not block.is_leaf and not block.whole and not block.is_tensor:
            waiting += reversed(block.parts.values())
            largest = _Largest(waiting)
            continue
        reserved[name] += keep if name in main else 0
        current += 1
        waiting.append(block)
    free = dict(limits)
    return tuple(Part(name, size, free[name], count) for name, (size, count) in held.items() if count)


class _Largest:
    """The largest indivisible block that is still to be placed, found anew when its last bearer is placed."""

    def __init__(self, waiting: list[Block]) -> None:
        self._find(waiting)

    def _find(self, waiting: list[Block]) -> None:
        self.size = 0
        self.bearers: set[str] = set()
        pending = [block for block in waiting if not block.is_tensor]
        while pending:
            block = pending.pop()
            if block.is_leaf or block.whole:
                if block.size > self.size:
                    self.size, self.bearers = block.size, {block.name}
                elif block.size == self.size:
                    self.bearers.add(block.name)
            else:
                pending += [part for part in block.parts.values() if not part.is_tensor]

    def without(self, placed: Block, waiting: list[Block]) -> int:
        """The size to keep free once `placed` is taken out."""
        if placed.name in self.bearers:
            self.bearers.discard(placed.name)
        elif not placed.whole and not placed.is_leaf:
            self.bearers = {name for name in self.bearers if not name.startswith(placed.name + ".")}
        if not self.bearers:
            self._find(waiting)
        return self.size


def automatic(
    tensors: Iterable[tuple[str, int]], free: Sequence[tuple[str, int]], cpu: int | None, model_type: str = ""
) -> tuple[Part, ...]:
    """`device_map="auto"`: the balanced map over devices with so much free memory."""
    root = tree_of(tensors, model_type)
    limits = [size for _, size in free]
    if len(limits) == 1:
        limits = [int(limits[0] * _GPU_SHARE)]
    lowered = balanced(root, limits)
    return place(root, [(name, limit) for (name, _), limit in zip(free, lowered, strict=True)], cpu)
