"""The Tensors, Config and Tokenizer views, and the meter."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tui.core.diagnosis import tensorflow_calls as calls
from tui.core.diagnosis.pages import PAGES
from tui.core.diagnosis.proofs import proof_lines
from tui.core.text import bytes_size, count_of, listing, middle, printable, shape_text, short_key
from tui.ui.render import metadata
from tui.ui.render.lines import BLANK, Lazy, Line, line, program, span, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.core.checkpoint import Checkpoint
    from tui.core.compare import Comparison, Draft
    from tui.core.tensors import Tensor


def tensors(checkpoint: Checkpoint, width: int, pattern: str) -> Sequence[Line]:
    """Every tensor, one row each, made when it is looked at."""
    found: Sequence[Tensor] = [tensor for file in checkpoint.files for tensor in file.tensors]
    if pattern:
        wanted = pattern.lower()
        found = [tensor for tensor in found if wanted in tensor.name.lower()]
    if not found:
        if pattern:
            return [line(span("no tensor's name holds that", "dim"))]
        return metadata.why_no_tensors(checkpoint, width)
    room = max(width - 44, 20)
    many = len(checkpoint.files) > 1

    def row(index: int) -> Line:
        if index == 0:
            return line(
                span(f"{count_of(len(found), 'tensor')}", "head"),
                span(f" {'' if not pattern else 'match'}", "dim"),
                span("  enter: values and histogram", "dim"),
            )
        tensor = found[index - 1]
        return line(
            span(f"{tensor.dtype:<9}", "key"),
            span(f"{shape_text(tensor.shape):<18} "),
            span(f"{bytes_size(tensor.nbytes):>10}  ", "dim"),
            span(short_key(printable(tensor.name), room)),
            span(f"  {tensor.role}" if tensor.role else "", "dim"),
            span(f"  {middle(printable(tensor.file), 28)}" if many else "", "dim"),
            target=tensor.name,
            copy=tensor.name,
        )

    return Lazy(len(found) + 1, row)


def config(
    checkpoint: Checkpoint,
    changes: dict[str, Any],
    width: int,
    pattern: str,
    comparison: Comparison | None = None,
    draft: Draft | None = None,
) -> list[Line]:
    """config.json, one row a value, with what its class says of each; Enter or `e` edits it."""
    document = checkpoint.config
    if draft is None and document is None:
        none = [line(span("there is no config.json", "dim"))]
        return none + metadata.values(checkpoint, width, pattern)
    if draft is None and document is not None and document.problem is not None:
        return wrapped(f"config.json: {document.problem.message}", width, "bad")
    held = draft.config if draft is not None else document.mapping if document is not None else {}
    title = "recovered from the weights" if draft is not None else "config.json"
    rows = [
        line(span(title, "head"), span("  enter edits a value; nothing is written until you save elsewhere", "dim")),
    ]
    remarks = _remarks(comparison, draft)
    flat = _flat(held)
    if draft is not None:
        flat.sort(key=lambda item: remarks.get(item[0], ("", ""))[1] == "dim")
    for key, value in flat:
        if pattern and pattern.lower() not in key.lower():
            continue
        rows.append(_value(key, value, changes, remarks.get(key), width))
    known = {key for key, _ in flat}
    for key, value in changes.items():
        if key not in known:
            words, _ = remarks.get(key, ("", ""))
            shown = f"(not in the file) → {value}  {words}"
            rows.append(line(span(f"{key:<36} ", "dim"), span(shown, "key"), target=key))
    return rows


def _value(key: str, value: Any, changes: dict[str, Any], remark: tuple[str, str] | None, width: int) -> Line:
    """One value, what it is edited to, and the remark on it."""
    shown = json.dumps(value, ensure_ascii=False, default=str)
    parts = [span(f"{middle(printable(key), 36):<36} ", "dim")]
    words, style = remark or ("", "dim")
    room = max(width - 42 - len(words), 16)
    if key in changes:
        new = json.dumps(changes[key], ensure_ascii=False, default=str)
        parts += [span(middle(printable(shown), 30), "dim"), span(f" → {middle(printable(new), room)}", "key")]
    else:
        parts.append(span(middle(printable(shown, None), room)))
    if words:
        parts.append(span(f"  {words}", style))
    return line(*parts, target=key, copy=key if key in changes else shown)


def _remarks(comparison: Comparison | None, draft: Draft | None) -> dict[str, tuple[str, str]]:
    """What is to be said of a value, by its key: (words, style)."""
    out: dict[str, tuple[str, str]] = {}
    for field, mark in (draft.marks if draft is not None else {}).items():
        out["id2label" if field == "num_labels" else field] = (f"◇ {mark}", "dim" if mark == "default" else "key")
    if comparison is None:
        return out
    for name, close in comparison.unknown_fields:
        out[name] = (f"! no field of the class{f', meant {printable(close)}?' if close else ''}", "warn")
    for one, _, other, _, used in comparison.contradictions:
        out[one] = (f"! same field as {printable(other)}; {printable(str(used), 30)} counts", "warn")
    for item in comparison.fields:
        out[item.field] = (f"≠ the weights say {printable(str(item.weights), 40)}", "bad")
    for blamed in comparison.blamed:
        out[blamed.field] = (f"✗ refused: {_loader_words(comparison)}", "bad")
    return out


def _loader_words(comparison: Comparison) -> str:
    """The first line of what the loader raises."""
    message = comparison.error[1] if comparison.error is not None else ""
    return middle(printable((message.strip().splitlines() or [""])[0]), 70)


def _flat(mapping: dict[str, Any], prefix: str = "", depth: int = 0) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for key, value in mapping.items():
        if isinstance(value, dict) and depth < 3 and key not in ("id2label", "label2id"):
            out.extend(_flat(value, f"{prefix}{key}.", depth + 1))
        else:
            out.append((f"{prefix}{key}", value))
    return out[:20_000]


def tokenizer(checkpoint: Checkpoint, answer: dict[str, Any] | None, asking: bool, width: int) -> list[Line]:
    """What the files say of the tokenizer, and what the environment's AutoTokenizer makes of them."""
    found = checkpoint.tokenizer
    if found is None:
        return metadata.tokenizer(checkpoint, width) or [line(span("no tokenizer file beside the model", "dim"))]
    rows = [
        line(span("files       ", "dim"), span(listing(found.files, 8))),
        line(span("class       ", "dim"), span(found.tokenizer_class or "not named")),
        line(span("vocabulary  ", "dim"), _size(found.size, found.max_id)),
        line(span("lower-cases ", "dim"), span({True: "yes", False: "no", None: "unknown"}[found.lowercases])),
        line(
            span("special ids ", "dim"),
            span(", ".join(f"{key} {value}" for key, value in found.special_ids.items()) or "none found"),
        ),
        BLANK,
        line(
            span("AutoTokenizer in the chosen environment", "head"),
            span("  enter asks, or tokenises a sentence", "dim"),
            target="ask",
        ),
    ]
    if asking:
        rows.append(line(span("asking …", "dim")))
    elif answer is None:
        rows.append(line(span("not asked yet", "dim")))
    else:
        rows += _answer(answer, width)
    return [replace(row, target="ask") for row in rows]


def _size(size: int | None, highest: int | None) -> Any:
    if size is None:
        return span("none that could be read", "bad")
    return span(f"{size:,} tokens, highest id {highest if highest is not None else 'unknown'}")


def _answer(answer: dict[str, Any], width: int) -> list[Line]:
    if "error" in answer:
        error = answer["error"]
        return wrapped(f"{error.get('type')}: {error.get('message')}", width, "bad", "✗ ", "  ")
    rows = [
        line(
            span(
                f"{answer.get('class')}, {answer.get('length')} tokens",
                "good" if (answer.get("length") or 0) > 20 else "bad",
            )
        )
    ]
    if answer.get("tokens"):
        unknown = answer.get("unknown_token")
        cut = " ".join(str(token) for token in answer["tokens"])
        share = sum(1 for token in answer["tokens"] if token == unknown)
        rows += wrapped(cut, width, "plain", "  ", "  ")
        rows += wrapped(" ".join(str(number) for number in answer.get("ids", [])), width, "dim", "  ", "  ")
        if share:
            rows.append(line(span(f"  {share} of {len(answer['tokens'])} tokens are {unknown}", "warn")))
    if "text_error" in answer:
        rows += wrapped(str(answer["text_error"]), width, "bad", "✗ ", "  ")
    return rows


def call(checkpoint: Checkpoint, width: int) -> list[Line]:
    """How a model of TensorFlow is called: its inputs as a tree, and a program that `y` copies; empty for others."""
    way = calls.expected(checkpoint)
    if way is None:
        return []
    text = calls.snippet(checkpoint)
    rows = [BLANK, line(span("expected inputs", "head"))]
    rows += [line(span(f"  {printable(row, max(width - 3, 20))}")) for row in calls.input_lines(way)]
    rows += [BLANK, line(span("a call of this model", "head"), span("  y copies it", "dim"), copy=text)]
    return rows + program(text, width, "  ", "  ")


def rule_rows(width: int) -> list[Line]:
    """Every rule with its cause and fix, for the help."""
    rows = [BLANK, line(span("Rules", "head"))]
    for page in PAGES.values():
        rows.append(line(span(f"  {page.rule}", "key")))
        rows += wrapped(f"{page.severity}: {page.title}", width, "plain", "    ", "    ")
        for label, text in (("why", page.cause), ("fix", page.fix), *proof_lines(page.rule)):
            rows += wrapped(printable(text, 400), width, "dim", f"    {label:<8}", " " * 12)
    return rows
