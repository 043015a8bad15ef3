"""The Tensors, Config and Tokenizer views, and the meter."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tui.core.diagnosis import tensorflow_calls as calls
from tui.core.diagnosis.pages import PAGES
from tui.core.text import bytes_size, count_of, listing, middle, printable, shape_text
from tui.ui.render.lines import BLANK, Lazy, Line, line, program, span, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.core.checkpoint import Checkpoint
    from tui.core.estimate import Available, Estimate
    from tui.core.tensors import Tensor


def tensors(checkpoint: Checkpoint, width: int, pattern: str) -> Sequence[Line]:
    """Every tensor, one row each, made when it is looked at."""
    found: Sequence[Tensor] = [tensor for file in checkpoint.files for tensor in file.tensors]
    if pattern:
        wanted = pattern.lower()
        found = [tensor for tensor in found if wanted in tensor.name.lower()]
    if not found:
        words = "no tensor's name holds that" if pattern else "no tensors could be read: see the findings"
        return [line(span(words, "dim"))]
    room = max(width - 44, 20)
    many = len(checkpoint.files) > 1

    def row(index: int) -> Line:
        if index == 0:
            return line(
                span(f"{count_of(len(found), 'tensor')}", "head"), span(f" {'' if not pattern else 'match'}", "dim")
            )
        tensor = found[index - 1]
        return line(
            span(f"{tensor.dtype:<9}", "key"),
            span(f"{shape_text(tensor.shape):<18} "),
            span(f"{bytes_size(tensor.nbytes):>10}  ", "dim"),
            span(middle(printable(tensor.name), room)),
            span(f"  {tensor.role}" if tensor.role else "", "dim"),
            span(f"  {middle(printable(tensor.file), 28)}" if many else "", "dim"),
            copy=tensor.name,
        )

    return Lazy(len(found) + 1, row)


def config(checkpoint: Checkpoint, changes: dict[str, Any], width: int, pattern: str) -> list[Line]:
    """config.json, one row a value; Enter or `e` edits it."""
    document = checkpoint.config
    if document is None:
        return [line(span("there is no config.json", "dim"))]
    if document.problem is not None:
        return wrapped(f"config.json: {document.problem.message}", width, "bad")
    rows = [
        line(
            span("config.json", "head"),
            span("  enter edits a value; nothing is written until you save elsewhere", "dim"),
        )
    ]
    for key, value in _flat(document.mapping):
        shown = json.dumps(value, ensure_ascii=False, default=str)
        if pattern and pattern.lower() not in key.lower():
            continue
        name = span(f"{middle(printable(key), 36):<36} ", "dim")
        if key in changes:
            new = json.dumps(changes[key], ensure_ascii=False, default=str)
            rows.append(
                line(name, span(middle(printable(shown), 30), "dim"), span(f" → {new}", "key"), target=key, copy=key)
            )
        else:
            rows.append(line(name, span(middle(printable(shown, None), max(width - 40, 20))), target=key, copy=shown))
    known = {key for key, _ in _flat(document.mapping)}
    for key, value in changes.items():
        if key not in known:
            rows.append(line(span(f"{key:<36} ", "dim"), span(f"(not in the file) → {value}", "key"), target=key))
    return rows


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
        return [line(span("no tokenizer file beside the model", "dim"))]
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


def meter(made: Estimate | None, machine: Available | None, width: int, measured: tuple[int, int] | None) -> list[Line]:
    """RAM that it must have and wants, what is free and who says so, and each GPU."""
    if made is None or machine is None:
        return [line(span("memory to load and run is shown here", "dim"))]
    style = {"fits": "good", "fits_slowly": "warn", "tight": "warn", "exceeds": "bad", "refused": "bad"}.get(
        made.verdict, "dim"
    )
    must = max(made.load_peak, made.run) if made.load_peak is not None and made.run is not None else None
    bar = max(width - 24, 4)
    rows = [
        line(span("RAM ", "head"), span(made.verdict.replace("_", " "), style), span(f"  as {made.dtype}", "dim")),
        _bar("must ", must, machine.ram, bar, style),
        _bar("wants", made.wants, machine.ram, bar, "dim"),
        line(span(f"free  {bytes_size(machine.ram)} of {bytes_size(machine.ram_total)}", "plain")),
        line(span(f"      {machine.ram_source}", "dim")),
    ]
    if measured is not None:
        rows.append(line(span(f"now   {bytes_size(measured[0])} anonymous, {bytes_size(measured[1])} mapped", "key")))
    if made.shortfall:
        rows.append(line(span(f"short {bytes_size(made.shortfall)}", "bad")))
    for index, (name, free, total) in enumerate(machine.devices):
        rows.append(_bar(f"GPU{index} ", made.device_total, free, bar, "plain"))
        rows.append(line(span(f"      {printable(name)}: free {bytes_size(free)} of {bytes_size(total)}", "dim")))
    if not machine.devices:
        rows += wrapped(machine.devices_reason or "no GPU found", width, "dim", "GPU   ", "      ")
    for dtype, size in list(made.by_dtype.items())[:4]:
        rows.append(line(span(f"file  {dtype:<6} {bytes_size(size)}", "dim")))
    for text in made.advice[:2]:
        rows += wrapped(text, width, "plain", "try   ", "      ")
    return rows


def _bar(label: str, need: int | None, free: int | None, width: int, style: str) -> Line:
    """A bar of need against what is free; unknown is said, not drawn."""
    if need is None or not free:
        return line(span(f"{label} {bytes_size(need)}", "dim"))
    share = min(need / free, 1.0)
    full = max(int(share * width), 1)
    over = "▶" if need > free else ""
    return line(
        span(f"{label} {bytes_size(need):>10} "),
        span("█" * full, style),
        span("░" * (width - full), "dim"),
        span(over, "bad"),
    )


def rule_rows(width: int) -> list[Line]:
    """Every rule with its cause and fix, for the help."""
    rows = [BLANK, line(span("Rules", "head"))]
    for page in PAGES.values():
        rows.append(line(span(f"  {page.rule}", "key"), span(f"  {page.severity}: {page.title}", "dim")))
        rows += wrapped(page.cause, width, "plain", "    why  ", "         ")
        rows += wrapped(page.fix, width, "plain", "    fix  ", "         ")
    return rows
