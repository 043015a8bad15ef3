"""A comparison in sentences and as JSON: the one place from which view, command line and report take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.json_text import finite
from tui.core.text import printable

if TYPE_CHECKING:
    from tui.core.compare import Comparison, Draft


def explained(comparison: Comparison) -> list[str]:
    """What stands behind the answer, a sentence each; command line and view show the same."""
    out = [
        f"{item.field}: config {_plain(item.config)}, weights {_plain(item.weights)}; "
        f"with {item.field} {_plain(item.weights)}, {item.keys:,} more keys match"
        for item in comparison.fields
    ]
    out += [
        f"{item.field} {_plain(item.value)} is refused; with the class's default {_plain(item.default)} it builds"
        for item in comparison.blamed
    ]
    out += comparison.edit_notes
    for name, close in comparison.unknown_fields:
        meant = f"; meant {close}?" if close else ""
        out.append(f"{printable(name, 80)} is no field of this class, which ignores it{meant}")
    for one, held, other, value, used in comparison.contradictions:
        out.append(
            f"{printable(one, 60)} {_plain(held)} and {printable(other, 60)} {_plain(value)} are one field; "
            f"the class takes {_plain(used)}"
        )
    for prefix, add, left in comparison.prefixes[:1]:
        done = "put before" if add else "taken off"
        out.append(f"with {prefix!r} {done} every name, {left:,} differences are left")
    out += comparison.undecided
    out += [
        f"{target} and {source} are tied and both in the file: whether their bytes are equal is not known"
        for target, source in comparison.ties_unknown[:3]
    ]
    if comparison.not_audited:
        out.append(f"not audited: {comparison.not_audited}")
    if comparison.disagreement:
        out.append("the live answer differed from the public loader's, which is shown: " + comparison.disagreement[0])
    return [printable(words, 400) for words in out]


def _plain(value: Any) -> str:
    return printable(str(value), 60)


def to_json(comparison: Comparison, path: str) -> dict[str, Any]:
    """The contract's object for `compare --json`."""
    error = comparison.error
    return {
        "schema": 1,
        "path": path,
        "model_class": comparison.model_class,
        "source": comparison.source,
        "loads": comparison.loads,
        "error": {"type": error[0], "message": error[1]} if error is not None else None,
        "stage": comparison.stage,
        "answered_by": comparison.path,
        "matched": comparison.matched,
        "missing": list(comparison.missing),
        "unexpected": list(comparison.unexpected),
        "mismatched": [
            {"key": item.key, "checkpoint": list(item.checkpoint), "model": list(item.model)}
            for item in comparison.mismatched
        ],
        "conversion_errors": comparison.conversion,
        "tied": [list(pair) for pair in comparison.tied],
        "renamed": comparison.renamed,
        "fields": [
            {"field": item.field, "config": finite(item.config), "weights": item.weights, "keys": item.keys}
            for item in comparison.fields
        ],
        "candidates": [dict(item) for item in comparison.candidates],
        "blamed": [
            {"field": item.field, "value": finite(item.value), "default": finite(item.default)}
            for item in comparison.blamed
        ],
        "unknown_fields": [{"field": field, "resembles": close or None} for field, close in comparison.unknown_fields],
        "edit_notes": list(comparison.edit_notes),
        "ties_undecided": [list(pair) for pair in comparison.ties_unknown],
        "undecided": list(comparison.undecided),
        "disagreement": list(comparison.disagreement),
        "not_audited": comparison.not_audited or None,
        "drafts": [
            _draft_json(item, comparison.drafted if place == 0 else None)
            for place, item in enumerate(comparison.drafts)
        ],
        "model_parameters": comparison.model_parameters,
        "covered_parameters": comparison.covered_parameters,
    }


def _draft_json(draft: Draft, under: Comparison | None) -> dict[str, Any]:
    """A recovered config, with the comparison under it where it was made."""
    out: dict[str, Any] = {
        "model_type": draft.model_type,
        "class": draft.model_class,
        "likeness": draft.likeness,
        "differences": draft.differences,
        "config": finite(draft.config),
        "marks": draft.marks,
    }
    if under is not None:
        kept = ("loads", "error", "matched", "missing", "unexpected", "mismatched")
        full = to_json(under, "")
        out["comparison"] = {key: full[key] for key in kept}
    return out
