"""The Compare view: what differs unfolded, what matches folded to a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.comparison_words import explained
from tui.core.record import Record
from tui.core.text import printable, shape_text, short_key
from tui.ui.render.lines import BLANK, Line, line, span, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.core.compare import Comparison, Draft, Fold, Row

_MARKS = {
    "mismatch": ("≠ MISMATCH", "bad"),
    "conversion": ("≠ CONVERT ", "bad"),
    "missing": ("− MISSING ", "warn"),
    "unexpected": ("+ UNEXPECT", "warn"),
    "ok": ("✓ ok      ", "good"),
}


class Folding(Record, frozen=True):
    """The comparison's rows, folded once and kept for every repaint."""

    comparison: Comparison
    differences: tuple[Fold, ...]
    matching: tuple[Fold, ...]
    draft: Draft | None = None
    """The recovered config under which this comparison was made."""


def folded(comparison: Comparison, draft: Draft | None = None) -> Folding:
    """Fold differences and matches apart."""
    return Folding(comparison, comparison.differences, comparison.matching, draft)


TIES = "ties"
"""Target of the row that compares the bytes of tied tensors."""


def head(comparison: Comparison, changes: dict[str, object], note: str, width: int) -> list[Line]:
    """Class, source, counts, the loader's words, and the fields behind it."""
    how = {"audit": "audit ✓", "live": "live"}.get(comparison.path, "files only")
    speed = f"{comparison.seconds * 1000:.0f} ms · " if comparison.seconds else ""
    rows = [
        line(
            span("class ", "dim"),
            span(comparison.model_class or "none", "head"),
            span("  c changes it   ", "dim"),
            span(f"{speed}{how} · {comparison.source}", "dim"),
        )
    ]
    if changes:
        shown = ", ".join(f"{key} = {value}" for key, value in changes.items())
        rows.append(line(span("edited ", "key"), span(shown), span("  u undoes, s saves as", "dim")))
    if note:
        rows.append(line(span(note, "key")))
    if comparison.stage != "not tried":
        rows.append(_counts(comparison))
    for place, words in enumerate(explained(comparison)):
        of_field = place < len(comparison.fields)
        rows += wrapped(f"{words}{'  (f sets it)' if place == 0 and of_field else ''}", width, "key", "→ ", "  ")
    if comparison.ties_unknown:
        rows.append(line(span("  enter here compares the bytes of tied tensors", "dim"), target=TIES))
    return rows


def _counts(comparison: Comparison) -> Line:
    return line(
        span(f"{comparison.matched:,} match", "good"),
        span(f" · {len(comparison.missing):,} missing", "warn" if comparison.missing else "dim"),
        span(f" · {len(comparison.unexpected):,} unexpected", "warn" if comparison.unexpected else "dim"),
        span(f" · {len(comparison.mismatched):,} mismatched", "bad" if comparison.mismatched else "dim"),
    )


def rows(
    folding: Folding | None,
    width: int,
    opened: frozenset[str],
    pattern: str,
    changes: dict[str, object],
    note: str,
    why: str,
) -> list[Line]:
    """The whole view; `opened` holds the names that are unfolded, `pattern` filters by substring."""
    if folding is None:
        return [line(span(why or "the loader was not asked about this checkpoint", "dim"))]
    comparison = folding.comparison
    out = head(comparison, changes, note, width)
    if folding.draft is not None:
        out += wrapped(
            f"no config that names the family: compared under one recovered from the weights, {folding.draft.words()}",
            width,
            "key",
            "◇ ",
            "  ",
        )
        out.append(line(span("  s saves it elsewhere, e edits it, 5 shows where each value comes from", "dim")))
    if comparison.error is not None:
        out += wrapped(f"{comparison.error[0]}: {comparison.error[1]}", width, "bad", "✗ ", "  ")
    if comparison.source == "files":
        return [*out, line(span("press p to pick an environment with torch and transformers", "dim"))]
    if not comparison.rows:
        return out
    out.append(BLANK)
    out.append(_columns(width))
    wanted = pattern.lower()
    out += _groups(folding.differences, width, opened, wanted)
    out += _matching(folding, width, opened, wanted)
    return out


def _columns(width: int) -> Line:
    room = _name_room(width)
    return line(span(f"{'status':<11} {'model tensor':<{room}} {'config':<16} {'file':<16}", "dim"))


def _name_room(width: int) -> int:
    return max(width - 11 - 2 * 17 - 3, 16)


def _matching(folding: Folding, width: int, opened: frozenset[str], pattern: str) -> list[Line]:
    """One line for all that matches, its groups below it where it is open or a filter is set."""
    if not folding.matching:
        return []
    count = sum(group.count for group in folding.matching)
    is_open = "*" in opened or bool(pattern)
    arrow = "▾" if is_open else "▸"
    first = line(
        span(f"✓ {count:,} as expected ", "good"),
        span(f"{arrow} enter {'folds' if is_open else 'unfolds'}", "dim"),
        target="*",
    )
    return [first, *(_groups(folding.matching, width, opened, pattern) if is_open else [])]


def _groups(groups: Iterable[Fold], width: int, opened: frozenset[str], pattern: str) -> list[Line]:
    out: list[Line] = []
    for group in groups:
        if pattern and not _found(group, pattern):
            continue
        key = f"{group.first.status}:{group.name}"
        if group.count > 1 and (key in opened or pattern):
            out.append(_group_line(group, width, key, "▾"))
            out += [_row(row, width, "  ") for row in group.rows if not pattern or _matches(row, pattern)]
        elif group.count > 1:
            out.append(_group_line(group, width, key, "▸"))
        else:
            out.append(_row(group.first, width, ""))
    return out


def _found(group: Fold, pattern: str) -> bool:
    return any(_matches(row, pattern) for row in group.rows)


def _matches(row: Row, pattern: str) -> bool:
    return pattern in row.key.lower() or any(pattern in source.lower() for source in row.sources)


def _group_line(group: Fold, width: int, key: str, arrow: str) -> Line:
    row = group.first
    mark, style = _MARKS[row.status]
    room = _name_room(width)
    name = short_key(printable(group.name), room - 9)
    return line(
        span(f"{mark} ", style),
        span(f"{name:<{room - 8}}", "plain"),
        span(f"{arrow} × {group.count:<4}", "dim"),
        span(f" {_model_cell(row):<16} {_file_cell(row):<16}"),
        target=key,
        copy=group.name,
    )


def _row(row: Row, width: int, indent: str) -> Line:
    mark, style = _MARKS[row.status]
    room = _name_room(width)
    name = short_key(printable(row.key), room - len(indent))
    source = row.sources[0] if row.sources and row.sources[0] != row.key else ""
    more = f" +{len(row.sources) - 1}" if len(row.sources) > 1 else ""
    parts = [
        span(f"{mark} ", style),
        span(f"{indent}{name:<{room - len(indent)}}"),
        span(f" {_model_cell(row):<16} {_file_cell(row):<16}"),
    ]
    if source:
        parts.append(span(f" ← {short_key(printable(source), 60)}{more}", "dim"))
    elif row.note:
        parts.append(span(f" {row.note}", "dim"))
    return line(*parts, copy=row.key)


def _model_cell(row: Row) -> str:
    return shape_text(row.model) if row.model is not None else "–"


def _file_cell(row: Row) -> str:
    if row.status == "missing":
        return "–"
    return shape_text(row.checkpoint) if row.checkpoint is not None else "–"


def changed(before: Comparison | None, after: Comparison) -> str:
    """What an edit did: keys fixed, keys broken."""
    if before is None:
        return ""
    old, new = _wrong(before), _wrong(after)
    fixed, broken = len(old - new), len(new - old)
    if after.stage not in ("done", "weights"):
        return "after the edit the loader stops before it has a model"
    if not fixed and not broken:
        return "the edit changed no key"
    words = [f"{fixed:,} keys fixed" if fixed else "", f"{broken:,} keys broken" if broken else ""]
    return f"after the edit: {', '.join(word for word in words if word)}"


def _wrong(comparison: Comparison) -> set[str]:
    keys = {f"m {item.key}" for item in comparison.mismatched}
    keys |= {f"- {key}" for key in comparison.missing}
    return keys | {f"+ {key}" for key in comparison.unexpected} | {f"c {key}" for key in comparison.conversion}
