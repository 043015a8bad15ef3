"""What each integer of a config does to the model's shapes, found by building the class with another value.

A size of the model is usually `slope × value + constant` in one field (hidden size, vocabulary, positions + 2); where
it is not, but grows with the field (image size), the value is searched by halving.
"""

from __future__ import annotations

import copy
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from ckptriage_worker import configs, direct, edits

if TYPE_CHECKING:
    from ckptriage_worker.states import State

Path = tuple[str, ...]
Wanted = dict[tuple[str, int], int]
"""(model key, dimension) → the size that the file has."""

_SKIPPED = ("_id", "_ids", "_token", "seed", "_type_ids")
_LARGEST = 1 << 31


def integers(values: dict[str, Any], path: Path = ()) -> list[tuple[Path, int]]:
    """Every integer of the config and of its parts that could be a size, with the keys that lead to it."""
    out: list[tuple[Path, int]] = []
    for key, value in values.items():
        if isinstance(value, bool) or key in ("id2label", "label2id"):
            continue
        if isinstance(value, int) and value > 0 and not key.endswith(_SKIPPED):
            out.append(((*path, key), value))
        elif isinstance(value, dict) and len(path) < 3:
            out.extend(integers(value, (*path, key)))
    return out


def with_value(values: dict[str, Any], path: Path, value: int) -> dict[str, Any]:
    """A copy of the config with one integer changed, and what hangs on it."""
    out = copy.deepcopy(values)
    part = out
    for key in path[:-1]:
        part = part[key]
    if path[-1] in edits.LAYER_COUNTS:
        edits.resize_layers(part, part.get(path[-1]), value)
    part[path[-1]] = value
    return out


HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads")
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim", "embed_dim")
_TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "decoder_start_token_id", "mask_token_id")


def hidden_of(values: dict[str, Any]) -> int | None:
    """The hidden size under whatever name the class gives it."""
    return next((values[key] for key in HIDDEN if isinstance(values.get(key), int)), None)


def repaired(values: dict[str, Any]) -> dict[str, Any]:
    """The config with what classes insist on: heads that divide the hidden size, special ids inside the vocabulary."""
    out = copy.deepcopy(values)
    hidden, vocabulary = hidden_of(out), out.get("vocab_size")
    for key in HEADS:
        count = out.get(key)
        if isinstance(count, int) and count > 0 and hidden and hidden % count:
            out[key] = next(number for number in range(min(count, hidden), 0, -1) if hidden % number == 0)
    for key in _TOKENS:
        if isinstance(out.get(key), int) and isinstance(vocabulary, int) and out[key] >= vocabulary:
            out[key] = None
    return out


class Prober:
    """Builds one class under many configs and remembers the shapes of each."""

    def __init__(self, name: str, state: State, deadline: float) -> None:
        self.name = name
        self.state = state
        self.deadline = deadline

    def over(self) -> bool:
        """Whether the time is spent."""
        return time.process_time() > self.deadline

    def shapes(self, values: dict[str, Any]) -> dict[str, list[int]] | None:
        """The model's tensors by name with their shapes; `None` where the class cannot be built, repaired or not."""
        found = self._shapes(values)
        return found if found is not None else self._shapes(repaired(values))

    def _shapes(self, values: dict[str, Any]) -> dict[str, list[int]] | None:
        try:
            cls, config, _ = configs.resolve(self.name, json.dumps(values), "")
            model, _ = direct.build(cls, config, self.state, None)
        except Exception:  # this value is refused, so it is no candidate
            return None
        return {key: list(value.shape) for key, value in model.state_dict().items()}

    def solve(self, values: dict[str, Any], wanted: Wanted) -> list[tuple[Path, int, int]]:
        """`[(path, value, votes)]`: for each field the value at which most of the wanted sizes come out, best first."""
        base = self.shapes(values)
        if base is None or not wanted:
            return []
        wrong = {place: size for place, size in wanted.items() if _size(base, place) not in (None, size)}
        out = []
        for path, value in integers(values):
            if self.over():
                break
            found = self._of_field(values, path, value, base, wrong)
            if found is not None:
                out.append((path, *found))
        return sorted(out, key=lambda item: -item[2])

    def _of_field(
        self, values: dict[str, Any], path: Path, value: int, base: dict[str, list[int]], wrong: Wanted
    ) -> tuple[int, int] | None:
        """(value, votes) for one field: solved from the sizes that move with it."""
        for other in (value * 2, value + 1, value * 3, max(value // 2, 1)):
            moved = self.shapes(with_value(values, path, other)) if other != value else None
            if moved is not None:
                break
        else:
            return None
        votes: Counter[int] = Counter()
        bent: list[tuple[tuple[str, int], int]] = []
        for place, size in wrong.items():
            before, after = _size(base, place), _size(moved, place)
            if before is None or after is None or before == after:
                continue
            solved, rest = divmod((size - before) * (other - value), after - before)
            if rest == 0 and 0 < value + solved < _LARGEST:
                votes[value + solved] += 1
            bent.append((place, size))
        for candidate, count in votes.most_common(2):
            shapes = self.shapes(with_value(values, path, candidate))
            if shapes is not None and any(_size(shapes, place) == size for place, size in bent):
                return candidate, count
        return self._searched(values, path, value, bent[0]) if bent else None

    def _searched(
        self, values: dict[str, Any], path: Path, value: int, target: tuple[tuple[str, int], int]
    ) -> tuple[int, int] | None:
        """A value found by halving, where the size grows with the field but not in a line."""
        place, size = target
        low, high = 1, max(value * 64, 4096)
        for _ in range(18):
            if low > high or self.over():
                return None
            middle = (low + high) // 2
            shapes = self.shapes(with_value(values, path, middle))
            here = _size(shapes, place) if shapes is not None else None
            if here is None:
                low = middle + 1
            elif here == size:
                return self._rounded(values, path, middle, target), 1
            elif here < size:
                low = middle + 1
            else:
                high = middle - 1
        return None

    def _rounded(self, values: dict[str, Any], path: Path, found: int, target: tuple[tuple[str, int], int]) -> int:
        """The roundest value that gives the same size: image sizes are multiples of powers of two."""
        for step in (64, 32, 16, 8):
            rounder = found // step * step
            shapes = self.shapes(with_value(values, path, rounder)) if rounder > 0 else None
            if shapes is not None and _size(shapes, target[0]) == target[1]:
                return rounder
        return found


def _size(shapes: dict[str, list[int]], place: tuple[str, int]) -> int | None:
    shape = shapes.get(place[0])
    return shape[place[1]] if shape is not None and place[1] < len(shape) else None


def wanted_sizes(answer: dict[str, Any], most: int = 400) -> Wanted:
    """The sizes at which an answer's mismatched tensors would fit."""
    out: Wanted = {}
    for item in answer.get("mismatched", [])[:most]:
        if len(item["model"]) == len(item["checkpoint"]):
            for place, (have, need) in enumerate(zip(item["model"], item["checkpoint"])):
                if have != need:
                    out[(item["key"], place)] = need
    return out
