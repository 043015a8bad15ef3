"""The comparison of config and weights as the loader sees it, and edits of a config.

The worker computes it with the loader's own code; this module holds its answer, folds it, and is the one place from
which view, JSON and report take it.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tui.core.record import Record, field
from tui.core.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.core.checkpoint import Checkpoint


class Mismatch(Record, frozen=True):
    """A key whose tensor has another shape in the file than in the model."""

    key: str
    checkpoint: tuple[int, ...]
    model: tuple[int, ...]


class Field(Record, frozen=True):
    """A config field that explains differences: its value, and the one the weights suggest."""

    field: str
    config: Any
    weights: Any
    keys: int
    """Model keys that match once the field has the suggested value."""


class Blamed(Record, frozen=True):
    """A config value that the class refuses: with its default instead, the class builds."""

    field: str
    value: Any
    default: Any


class Row(Record, frozen=True):
    """One tensor of the model or of the file, with both names and both shapes."""

    key: str
    """The model's name, or the file's where the model has none."""

    sources: tuple[str, ...]
    status: str
    """`ok`, `missing`, `unexpected`, `mismatch` or `conversion`."""

    model: tuple[int, ...] | None
    checkpoint: tuple[int, ...] | None
    note: str = ""


class Draft(Record, frozen=True):
    """A config recovered from the weights; a proposal, never written unasked."""

    model_type: str
    model_class: str
    likeness: float
    """How much the tensor names are those of this class, 0 to 1."""

    differences: int
    """Keys that do not match under the draft."""

    config: dict[str, Any]
    marks: dict[str, str]
    """Each field of the draft: `inferred` from a size, `guessed` by custom, or the class's `default`."""

    def marked(self, mark: str) -> list[str]:
        """The fields that carry a mark."""
        return [field for field, held in self.marks.items() if held == mark]

    def words(self) -> str:
        """The draft in a sentence."""
        inferred, guessed = self.marked("inferred"), self.marked("guessed")
        fits = "everything matches" if not self.differences else f"{self.differences:,} keys do not match"
        return (
            f"{self.model_class} ({self.model_type}): {len(inferred)} fields inferred, {len(guessed)} guessed"
            f"{f' ({listing(guessed)})' if guessed else ''}, the rest default; {fits}"
        )


class Comparison(Record, frozen=True, dict=True):
    """What `CLASS.from_pretrained(…, ignore_mismatched_sizes=True)` collects, and what the plain call raises."""

    model_class: str | None
    source: str
    """`transformers 5.23.0`, or `files` where no loader was asked."""

    loads: bool | None
    error: tuple[str, str] | None = None
    stage: str = "done"
    """Where the loader stops: `class`, `config`, `quantizer`, `files`, `build`, `weights`, or `done`; `not tried` where
    it was not let try."""

    matched: int = 0
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[Mismatch, ...] = ()
    conversion: dict[str, str] = field(default_factory=dict)
    tied: tuple[tuple[str, str], ...] = ()
    ties_unknown: tuple[tuple[str, str], ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    fields: tuple[Field, ...] = ()
    candidates: tuple[dict[str, Any], ...] = ()
    rows: tuple[Row, ...] = ()
    model_parameters: int | None = None
    covered_parameters: int | None = None
    path: str = "files"
    """`live`, `audit` or `files`: by which way it was answered."""

    not_audited: str = ""
    disagreement: tuple[str, ...] = ()
    """In what the live answer differed from the public loader's, which is the one shown."""

    undecided: tuple[str, ...] = ()
    """What the answer depends on besides names and shapes, a sentence each."""

    blamed: tuple[Blamed, ...] = ()
    """The config values at which the class cannot be built."""

    unknown_fields: tuple[tuple[str, str], ...] = ()
    """Config keys that the class does not know, with the field each resembles or an empty string."""

    contradictions: tuple[tuple[str, Any, str, Any, Any], ...] = ()
    """Fields that the config names twice: key and value, the other key and value, and the value in force."""

    config_class: str = ""
    edited: dict[str, Any] | None = None
    """The config after the edits, as its class means them; `None` where nothing was edited."""

    edit_notes: tuple[str, ...] = ()
    prefixes: tuple[tuple[str, bool, int], ...] = ()
    """For a class of the user's own: (prefix, whether it is put on rather than off, differences left), best first."""

    drafts: tuple[Draft, ...] = ()
    """Configs recovered from the weights, best first, where the checkpoint has none that names its family."""

    drafted: Comparison | None = None
    """The comparison under the best draft."""

    seconds: float = 0.0

    @cached_property
    def differences(self) -> tuple[Fold, ...]:
        """Rows that differ, folded; computed once, off the screen's thread where they are many."""
        return fold(row for row in self.rows if row.status != "ok")

    @cached_property
    def matching(self) -> tuple[Fold, ...]:
        """Rows that match, folded."""
        return fold(row for row in self.rows if row.status == "ok")

    @property
    def coverage(self) -> float | None:
        """Share of the model's parameters that come from the file."""
        if not self.model_parameters or self.covered_parameters is None:
            return None
        return self.covered_parameters / self.model_parameters


def from_answer(answer: dict[str, Any]) -> Comparison:
    """The worker's answer as a `Comparison`."""
    error = answer.get("error")
    missing = tuple(answer.get("missing") or ())
    unexpected = tuple(answer.get("unexpected") or ())
    mismatched = tuple(
        Mismatch(item["key"], tuple(item["checkpoint"]), tuple(item["model"]))
        for item in answer.get("mismatched") or ()
    )
    conversion = answer.get("conversion") or {}
    return Comparison(
        model_class=answer.get("model_class"),
        source=str(answer.get("source", "")),
        loads=answer.get("loads"),
        error=(str(error.get("type")), str(error.get("message"))) if isinstance(error, dict) else None,
        stage=str(answer.get("stage", "done")),
        matched=int(answer.get("matched") or 0),
        missing=missing,
        unexpected=unexpected,
        mismatched=mismatched,
        conversion=conversion,
        tied=tuple((pair[0], pair[1]) for pair in answer.get("tied") or ()),
        ties_unknown=tuple((pair[0], pair[1]) for pair in answer.get("ties_unknown") or ()),
        renamed=_renamed(answer),
        fields=tuple(
            Field(str(item["field"]), item["config"], item["weights"], int(item["keys"]))
            for item in answer.get("fields") or ()
        ),
        candidates=tuple(answer.get("candidates") or ()),
        rows=_rows(answer, set(missing), unexpected, mismatched, conversion),
        model_parameters=answer.get("model_parameters"),
        covered_parameters=answer.get("covered_parameters"),
        path=str(answer.get("path", "live")),
        not_audited=str(answer.get("not_audited", "")),
        disagreement=tuple(answer.get("disagreement") or ()),
        undecided=tuple(answer.get("undecided") or ()),
        blamed=tuple(Blamed(item["field"], item["value"], item["default"]) for item in answer.get("blamed") or ()),
        unknown_fields=tuple((pair[0], pair[1]) for pair in answer.get("unknown_fields") or ()),
        contradictions=tuple(
            (str(one), held, str(other), value, used)
            for one, held, other, value, used in answer.get("contradictions") or ()
        ),
        config_class=str(answer.get("config_class", "")),
        edited=answer.get("edited"),
        edit_notes=tuple(answer.get("edit_notes") or ()),
        prefixes=tuple((item["prefix"], item["add"], item["differences"]) for item in answer.get("prefixes") or ()),
        seconds=float(answer.get("seconds") or 0.0),
    )


def _renamed(answer: dict[str, Any]) -> dict[str, str]:
    """Checkpoint names whose model name is another; for a tensor that is split, the first of its targets."""
    told: dict[str, str] = dict(answer.get("renamed") or {})
    for key, sources, *_ in answer.get("rows") or ():
        for source in sources:
            if source != key:
                told.setdefault(source, key)
    return told


def _rows(
    answer: dict[str, Any],
    missing: set[str],
    unexpected: tuple[str, ...],
    mismatched: tuple[Mismatch, ...],
    conversion: dict[str, str],
) -> tuple[Row, ...]:
    """Rows in the order in which a user wants them: differences first, then what matches."""
    wrong = {item.key: item for item in mismatched}
    tied: dict[str, str] = dict(answer.get("tied") or ())
    back = {model: key for key, model in (answer.get("renamed") or {}).items()}
    rows: list[Row] = []
    for key, sources, shape, source_shape in answer.get("rows") or ():
        model = tuple(shape) if shape is not None else None
        first = tuple(source_shape) if source_shape is not None else None
        if key in conversion:
            rows.append(Row(key, tuple(sources), "conversion", model, first, conversion[key].strip().splitlines()[-1]))
        elif key in wrong:
            rows.append(Row(key, tuple(sources), "mismatch", wrong[key].model, wrong[key].checkpoint))
        elif key in missing:
            rows.append(Row(key, (), "missing", model, None, "newly initialised"))
        elif not sources:
            note = f"tied to {tied[key]}" if key in tied else "not stored, as the model allows"
            rows.append(Row(key, (), "ok", model, None, note))
        else:
            rows.append(Row(key, tuple(sources), "ok", model, first))
    shapes = answer.get("unexpected_shapes") or {}
    for key in unexpected:
        shape = shapes.get(key)
        held = tuple(shape) if shape is not None else None
        rows.append(Row(key, (back.get(key, key),), "unexpected", None, held, "not used by this class"))
    order = {"mismatch": 0, "conversion": 1, "missing": 2, "unexpected": 3, "ok": 4}
    return tuple(sorted(rows, key=lambda row: order[row.status]))


def drafts_of(answer: dict[str, Any]) -> tuple[Draft, ...]:
    """The worker's recovered configs."""
    return tuple(
        Draft(
            str(item["model_type"]),
            str(item["class"]),
            float(item["likeness"]),
            int(item["differences"]),
            item["config"],
            item["marks"],
        )
        for item in answer.get("drafts") or ()
    )


def from_files(checkpoint: Checkpoint, reason: str) -> Comparison:
    """Where no loader can be asked: what files alone tell, and why it is no more."""
    names = checkpoint.settings.get("architectures")
    cls = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None
    return Comparison(cls, "files", None, ("NotAsked", reason), "class")


_NUMBER = re.compile(r"(?<![^.])(\d+)(?![^.])")


class Fold(Record, frozen=True):
    """Rows that differ only in the numbers of their names: `layers.{0…31}.mlp.weight × 32`."""

    name: str
    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        """The row that stands for the others."""
        return self.rows[0]

    @property
    def count(self) -> int:
        """How many rows are folded."""
        return len(self.rows)


def fold(rows: Iterable[Row]) -> tuple[Fold, ...]:
    """Rows of one status, pattern and shapes as one `Fold`, in the order of their first."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        pattern = _NUMBER.sub("*", row.key)
        groups.setdefault((row.status, pattern, row.model, row.checkpoint, bool(row.sources)), []).append(row)
    return tuple(Fold(fold_names([row.key for row in group]), tuple(group)) for group in groups.values())


def fold_names(names: list[str]) -> str:
    """One name for many that differ only in their numbers."""
    if len(names) == 1:
        return names[0]
    parts = [_NUMBER.split(name) for name in names]
    out = list(parts[0])
    for place in range(1, len(out), 2):
        values = sorted({int(part[place]) for part in parts})
        out[place] = str(values[0]) if len(values) == 1 else f"{{{values[0]}…{values[-1]}}}"
    return "".join(out)
