"""Which tensor of one checkpoint is which of the other: by name where names are known, else by shape and by bytes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tui.core.record import Record
from tui.core.relatives.entries import Entry, transposed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Digest = Callable[[int, Entry], str | None]

MAX_PREFIX = 3
"""Leading words of a name that one side may have and the other not (`model.`, `bert.`, `base_model.model.`)."""


class Pair(Record, frozen=True):
    """Two tensors that are taken for the same."""

    first: Entry
    second: Entry
    by: str
    """`name`, `known name` (of the other format), `prefix`, `shape` or `bytes`."""


class Pairing(Record, frozen=True):
    """All pairs, and what has no partner."""

    pairs: tuple[Pair, ...]
    only_first: tuple[Entry, ...]
    only_second: tuple[Entry, ...]


def pair(first: list[Entry], second: list[Entry], digest: Digest | None = None, *, shapes: bool = False) -> Pairing:
    """By name, by known name, by names but for a prefix; with `shapes` also by shape, and by bytes through `digest`.

    `digest` is asked (0 or 1 for the side, tensor) and answers the same for equal elements in any order.
    """
    pairs: list[Pair] = []
    left, right = _by(first, second, lambda entry: entry.tensor.name, "name", pairs)
    left, right = _by(left, right, lambda entry: entry.name, "known name", pairs)
    left, right = _prefixed(left, right, pairs)
    if shapes:
        left, right = _by_shape(left, right, pairs, digest)
    return Pairing(tuple(pairs), tuple(left), tuple(right))


def _by(
    first: list[Entry], second: list[Entry], key: Callable[[Entry], str], words: str, pairs: list[Pair]
) -> tuple[list[Entry], list[Entry]]:
    """Pair what has the same key; the others are returned."""
    held = {key(entry): entry for entry in second}
    left: list[Entry] = []
    used: set[int] = set()
    for entry in first:
        other = held.pop(key(entry), None)
        if other is None:
            left.append(entry)
        else:
            pairs.append(Pair(entry, other, words))
            used.add(id(other))
    return left, [entry for entry in second if id(entry) not in used]


def _prefixed(first: list[Entry], second: list[Entry], pairs: list[Pair]) -> tuple[list[Entry], list[Entry]]:
    """Pair names that differ by the one prefix that most of them share."""
    here, there = {entry.name for entry in first}, {entry.name for entry in second}
    longer, shorter = _prefix(here, there), _prefix(there, here)
    if longer[1] >= shorter[1] and longer[1]:
        return _by(first, second, lambda entry: entry.name.removeprefix(longer[0]), "prefix", pairs)
    if shorter[1]:
        return _by(first, second, lambda entry: entry.name.removeprefix(shorter[0]), "prefix", pairs)
    return first, second


def _prefix(longer: set[str], shorter: set[str]) -> tuple[str, int]:
    """The prefix that, taken off, leads from most names of `longer` to one of `shorter`, and from how many."""
    counts: Counter[str] = Counter()
    for name in longer:
        words = name.split(".", MAX_PREFIX)
        for count in range(1, len(words)):
            rest = ".".join(words[count:])
            if rest in shorter:
                counts[name[: -len(rest)]] += 1
    found = counts.most_common(1)
    return found[0] if found else ("", 0)


def _by_shape(
    first: list[Entry], second: list[Entry], pairs: list[Pair], digest: Digest | None
) -> tuple[list[Entry], list[Entry]]:
    """Pair what is alone in its shape on both sides, also turned; among several, what alone holds the same elements."""
    groups = _groups(first), _groups(second)
    gone: set[int] = set()
    for shape, here in groups[0].items():
        there = groups[1].get(shape, [])
        if len(here) == len(there) == 1:
            found = [(here[0], there[0], "shape")]
        else:
            found = [(one, other, "bytes") for one, other in _by_digest(here, there, digest)]
        for one, other, words in found:
            pairs.append(_oriented(one, other, words))
            gone |= {id(one), id(other)}
    return [item for item in first if id(item) not in gone], [item for item in second if id(item) not in gone]


def _groups(entries: Iterable[Entry]) -> dict[tuple[int, ...], list[Entry]]:
    """Tensors by their sizes; a matrix and its transpose are of one group."""
    out: dict[tuple[int, ...], list[Entry]] = {}
    for entry in entries:
        shape = tuple(sorted(entry.shape)) if len(entry.shape) == 2 else entry.shape
        out.setdefault(shape, []).append(entry)
    return out


def _by_digest(here: list[Entry], there: list[Entry], digest: Digest | None) -> list[tuple[Entry, Entry]]:
    """Tensors whose elements are those of one tensor of the other side and of no second one."""
    if digest is None or not there:
        return []
    sides: list[dict[tuple[str, str], list[Entry]]] = [{}, {}]
    for side, items in enumerate((here, there)):
        for entry in items:
            known = digest(side, entry)
            if known is not None:
                sides[side].setdefault((entry.tensor.dtype, known), []).append(entry)
    return [
        (entries[0], sides[1][key][0])
        for key, entries in sides[0].items()
        if len(entries) == 1 and len(sides[1].get(key, ())) == 1
    ]


def _oriented(one: Entry, other: Entry, words: str) -> Pair:
    """A pair of one shape; where only the transpose fits, the second is read that way."""
    if one.shape != other.shape and one.shape == other.shape[::-1]:
        other = transposed(other)
    return Pair(one, other, words)
