"""Two checkpoints side by side: config, tensors, tokenizer; also across formats."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from tui.core.files import KeptOpen
from tui.core.json_text import finite
from tui.core.record import Record, replace
from tui.core.relatives import gguf_names
from tui.core.relatives.entries import Entry, entries, transposed
from tui.core.relatives.pairing import Pair, pair
from tui.core.text import count_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.checkpoint import Checkpoint
    from tui.core.relatives.values import Compared

_ABSENT = "(absent)"
_PAIRED = (
    ("known name", "known names"),
    ("prefix", "names but for a prefix"),
    ("shape", "shape alone"),
    ("bytes", "equal elements"),
)


class Match(Record, frozen=True):
    """Two tensors taken for the same, and what their values are to each other."""

    pair: Pair
    values: Compared | None = None
    """`None` where values were not asked for."""

    @property
    def name(self) -> str:
        """The first side's name."""
        return self.pair.first.tensor.name

    @property
    def other(self) -> str:
        """The second side's name."""
        return self.pair.second.tensor.name

    @property
    def is_changed(self) -> bool:
        """Whether dtype or shape differ."""
        first, second = self.pair.first, self.pair.second
        return (first.tensor.dtype, first.shape) != (second.tensor.dtype, second.shape)

    @property
    def differs(self) -> bool:
        """Whether dtype, shape or, as far as they were compared, values differ."""
        return self.is_changed or (self.values is not None and self.values.equal is False)

    @property
    def is_turned(self) -> bool:
        """Whether the elements lie in another order on one side than on the other."""
        first, second = self.pair.first, self.pair.second
        return first.axes != second.axes or first.heads != second.heads


class Difference(Record, frozen=True):
    """What two checkpoints do not share; values are (first, second)."""

    config: dict[str, tuple[Any, Any]]
    tokenizer: dict[str, tuple[Any, Any]]
    matches: tuple[Match, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What was not compared, and why, a sentence each."""

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        apart = self.config or self.tokenizer or self.only_first or self.only_second
        return bool(apart) or any(match.differs for match in self.matches)

    @property
    def changed(self) -> tuple[Match, ...]:
        """Tensors of other dtype or shape."""
        return tuple(match for match in self.matches if match.is_changed)

    @property
    def same(self) -> int:
        """Tensors of the same name, dtype and shape."""
        return len(self.matches) - len(self.changed)

    @property
    def equal(self) -> int | None:
        """Tensors whose values are all equal; `None` where values were not compared."""
        if self.matches and self.matches[0].values is None:
            return None
        return sum(1 for match in self.matches if match.values is not None and match.values.equal)


def difference(
    first: Checkpoint,
    second: Checkpoint,
    *,
    values: bool = False,
    progress: Callable[[int], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Difference:
    """Config, tokenizer and tensors of both; with `values` their elements too, `progress` being told of bytes read.

    `stop` ends the reading with `tui.core.pace.Stopped`.
    """
    sides = (first, second)
    across = _family(first) != _family(second)
    with closing(KeptOpen(first.root)) as here, closing(KeptOpen(second.root)) as there:
        files = (here, there)
        digest = _digests(files, stop) if across and values else None
        found = pair(entries(first), entries(second), digest, shapes=across)
        matches = [Match(item) for item in found.pairs]
        if values:
            matches = [_with_values(match, files, progress, stop) for match in matches]
    config, config_note = _compared("config", _config(first), _config(second), shared=_has_gguf(sides))
    tokenizer, tokenizer_note = _compared("tokenizer", _tokenizer(first), _tokenizer(second), shared=_has_gguf(sides))
    return Difference(
        config,
        tokenizer,
        tuple(matches),
        tuple(sorted(entry.tensor.name for entry in found.only_first)),
        tuple(sorted(entry.tensor.name for entry in found.only_second)),
        (*config_note, *tokenizer_note),
    )


def _has_gguf(sides: tuple[Checkpoint, Checkpoint]) -> bool:
    """Whether a side is a GGUF, whose header holds a few of a config's fields and of a tokenizer's figures."""
    return any(side.kind == "gguf" for side in sides)


def bytes_to_read(first: Checkpoint, second: Checkpoint) -> int:
    """Bytes that comparing values will read, as `progress` is told of them."""
    found = pair(entries(first), entries(second), shapes=_family(first) != _family(second))
    same = (item for item in found.pairs if item.first.shape == item.second.shape)
    return sum(item.first.tensor.nbytes + item.second.tensor.nbytes for item in same)


def _family(checkpoint: Checkpoint) -> str:
    """Formats whose tensors bear the same names: all of torch's are one."""
    formats = {file.format for file in checkpoint.weight_files if file.tensors}
    if formats <= {"safetensors", "torch_zip", "torch_legacy", "pickle", "torchscript", "torch_export"}:
        return "torch"
    return ",".join(sorted(formats))


def _digests(files: tuple[KeptOpen, KeptOpen], stop: Callable[[], bool]) -> Callable[[int, Entry], str | None]:
    from tui.core.relatives.values import fingerprint

    return lambda side, entry: fingerprint(files[side], entry, stop)


def _with_values(
    match: Match,
    files: tuple[KeptOpen, KeptOpen],
    progress: Callable[[int], None],
    stop: Callable[[], bool],
) -> Match:
    """The pair with its values compared; a square matrix paired by its shape is also tried the other way round."""
    from tui.core.relatives.values import compare

    one, other = match.pair.first, match.pair.second
    found = compare((files[0], one), (files[1], other), stop, progress)
    square = len(one.shape) == 2 and one.shape == one.shape[::-1]
    if found.equal is False and square and match.pair.by in ("shape", "bytes"):
        turned = compare((files[0], one), (files[1], transposed(other)), stop)
        if turned.equal:
            match, found = Match(replace(match.pair, second=transposed(other))), turned
    return replace(match, values=found)


def _config(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The config; of a GGUF what its header holds of one; `None` for a format that has none."""
    if checkpoint.config is not None:
        return checkpoint.config.mapping
    if checkpoint.kind == "gguf":
        return gguf_names.config_fields(checkpoint.weight_files[0].metadata) if checkpoint.weight_files else None
    return {} if checkpoint.kind == "transformers" and not checkpoint.is_file else None


def _tokenizer(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The tokenizer's figures; of a GGUF how many tokens its header lists; `None` where there is none to have."""
    found = checkpoint.tokenizer
    if found is not None:
        return {
            "class": found.tokenizer_class,
            "size": found.size,
            "max_id": found.max_id,
            "lowercases": found.lowercases,
            "files": list(found.files),
        }
    if checkpoint.kind == "gguf" and checkpoint.weight_files:
        tokens = checkpoint.weight_files[0].metadata.get("tokenizer.ggml.tokens")
        count = tokens.get("count") if isinstance(tokens, dict) else len(tokens) if isinstance(tokens, list) else None
        return {"size": count} if count is not None else None
    return None if checkpoint.is_file or checkpoint.kind != "transformers" else {}


def _compared(
    what: str, first: dict[str, Any] | None, second: dict[str, Any] | None, *, shared: bool = False
) -> tuple[dict[str, tuple[Any, Any]], tuple[str, ...]]:
    """Values that differ; a side that cannot have any, or whose header holds a few, is compared in those alone."""
    if first is None or second is None:
        if first is second:
            return {}, ()
        return {}, (f"the {'first' if first is None else 'second'} has no {what}: not compared",)
    keys = [key for key in first if key in second] if shared else [*first, *(key for key in second if key not in first)]
    pairs = {key: (first.get(key, _ABSENT), second.get(key, _ABSENT)) for key in keys}
    return {key: pair for key, pair in pairs.items() if finite(pair[0]) != finite(pair[1])}, ()


def summary(found: Difference) -> str:
    """How much is the same, and how the names were paired."""
    words = f"{count_of(found.same, 'tensor')} of the same dtype and shape"
    words += "; values were not compared" if found.equal is None else f", {found.equal:,} with equal values"
    named = [match for match in found.matches if match.pair.by != "name"]
    for by, how in _PAIRED:
        count = sum(1 for match in named if match.pair.by == by)
        words += f"; {count:,} paired by {how}" if count else ""
    return words


def to_json(found: Difference, first: str, second: str) -> dict[str, Any]:
    """The object for `diff --json`."""
    return {
        "schema": 1,
        "paths": [first, second],
        "same": not found.any,
        "config": {key: finite(list(pair)) for key, pair in found.config.items()},
        "tensors": {
            "same": found.same,
            "equal": found.equal,
            "only_first": list(found.only_first),
            "only_second": list(found.only_second),
            "changed": {match.name: [_kind(match.pair.first), _kind(match.pair.second)] for match in found.changed},
            "values": {
                match.name: {"largest": finite(match.values.largest)}
                for match in found.matches
                if match.values is not None and match.values.equal is False
            },
            "not_compared": {
                match.name: match.values.why
                for match in found.matches
                if match.values is not None and match.values.equal is None
            },
            "paired": [
                {"first": match.name, "second": match.other, "by": match.pair.by, "reordered": match.is_turned}
                for match in found.matches
                if match.name != match.other
            ],
        },
        "tokenizer": {key: list(pair) for key, pair in found.tokenizer.items()},
        "notes": list(found.notes),
    }


def _kind(entry: Entry) -> dict[str, Any]:
    return {"dtype": entry.tensor.dtype, "shape": list(entry.shape)}
