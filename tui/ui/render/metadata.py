"""What files say of themselves where there is no config.json, GGUF's tokenizer, and why a view holds no tensors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tui.core.text import bytes_size, count_of, listing, middle, printable
from tui.ui.render.lines import BLANK, Line, line, span, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint, FileReport

_MOST = 2_000
_TOKENIZER = "tokenizer."
_TEMPLATE = "tokenizer.chat_template"
MAX_TEMPLATE_LINES = 2_000


def values(checkpoint: Checkpoint, width: int, pattern: str) -> list[Line]:
    """The metadata of every file, a row a value; empty where no file has any."""
    rows: list[Line] = []
    for file in checkpoint.files:
        found = [(key, value) for key, value in file.metadata.items() if pattern.lower() in str(key).lower()]
        if not found:
            continue
        rows.append(line(span(printable(file.name), "head"), span("  says of itself", "dim")))
        rows += [_value(str(key), value, width) for key, value in found[:_MOST]]
        if len(found) > _MOST:
            rows.append(line(span(f"… and {len(found) - _MOST:,} more", "dim")))
        if len(rows) > _MOST:
            break
    return rows


def _value(key: str, value: Any, width: int) -> Line:
    """A key and its value in one row; a copy has the value whole."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    shown = middle(printable(text), max(width - 42, 16))
    return line(span(f"{middle(printable(key), 36):<36} ", "dim"), span(shown), copy=text)


def tokenizer(checkpoint: Checkpoint, width: int) -> list[Line]:
    """The tokenizer that a GGUF holds, its chat template as text; empty for files that hold none."""
    file = next((item for item in checkpoint.files if any(key.startswith(_TOKENIZER) for key in item.metadata)), None)
    if file is None:
        return []
    rows = [line(span("tokenizer of ", "dim"), span(printable(file.name)))]
    for key, value in file.metadata.items():
        if key.startswith(_TOKENIZER) and not key.startswith(_TEMPLATE):
            rows.append(_value(key.removeprefix(_TOKENIZER), _counted(value), width))
    templates = [(key, value) for key, value in file.metadata.items() if key.startswith(_TEMPLATE)]
    for key, value in templates:
        if isinstance(value, str):
            rows += [BLANK, line(span(printable(key), "head"), span("  as it stands; it is not rendered", "dim"))]
            rows += _template(value, width)
    if not templates:
        rows += [BLANK, line(span("no chat template in the file", "dim"))]
    return rows


def _counted(value: Any) -> Any:
    """A list of tokens as its count and its first elements."""
    if isinstance(value, dict) and isinstance(value.get("first"), list):
        first = ", ".join(str(item) for item in value["first"])
        return f"{value.get('count'):,} ({value.get('type')}): {first}, …"
    return f"{len(value):,}: {', '.join(str(item) for item in value)}" if isinstance(value, list) else value


def _template(text: str, width: int) -> list[Line]:
    parts = text.splitlines() or [""]
    rows = [row for part in parts[:MAX_TEMPLATE_LINES] for row in wrapped(part, width, "plain", "  ", "  ", copy=text)]
    if len(parts) > MAX_TEMPLATE_LINES:
        rows.append(line(span(f"  … and {len(parts) - MAX_TEMPLATE_LINES:,} lines more", "dim")))
    return rows


def why_no_tensors(checkpoint: Checkpoint, width: int) -> list[Line]:
    """The reason for which a list of tensors is empty: damage, parts that hold them, or files that hold none."""
    parts = checkpoint.layout.parts if checkpoint.layout is not None else ()
    if parts:
        words = f"the tensors lie in {count_of(len(parts), 'part')}, each a row of the tree where it has weights"
        rows = [line(span(words, "dim"))]
        for part in parts[:_MOST]:
            mark = span("  ", "plain") if part.present else span("✗ ", "bad")
            size = bytes_size(part.bytes) if part.bytes else "" if part.present else "not here"
            rows.append(line(mark, span(f"{printable(part.name) or '.':<36} "), span(f"{part.kind}  {size}", "dim")))
        return rows
    if any(problem.fatal for problem in checkpoint.all_problems()):
        return [line(span("no tensors could be read: see the findings", "dim"))]
    return [row for words in _reasons(checkpoint) for row in wrapped(words, width, "dim")]


def _reasons(checkpoint: Checkpoint) -> Iterator[str]:
    if not checkpoint.files:
        yield "no file of weights lies here"
    for file in checkpoint.files[:20]:
        yield f"{printable(file.name)}: {_reason(file)}"


def _reason(file: FileReport) -> str:
    held = file.metadata.get("weights")
    if isinstance(held, str):
        return f"weights {held}"
    if file.pickle is not None and file.pickle.level != "tensors_only":
        named = listing(list(file.pickle.globals), 3)
        return f"holds objects, not tensors; what they hold is known once they are made ({named})"
    return "holds no tensors"
