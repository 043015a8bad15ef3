"""Two checkpoints side by side, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.text import shape_text
from tui.ui.render.lines import Line, line, span

if TYPE_CHECKING:
    from tui.core.difference import Difference


def rows(found: Difference) -> list[Line]:
    """Config, tokenizer, then tensors."""
    out = [line(span(f"{found.same:,} tensors of the same name, dtype and shape; values are not compared", "dim"))]
    for title, pairs in (("config", found.config), ("tokenizer", found.tokenizer)):
        for key, pair in pairs.items():
            out.append(
                line(
                    span(f"{title} ", "dim"),
                    span(f"{key}: "),
                    span(str(pair[0]), "bad"),
                    " → ",
                    span(str(pair[1]), "good"),
                )
            )
    out += [line(span(f"− {name}", "bad")) for name in found.only_first]
    out += [line(span(f"+ {name}", "good")) for name in found.only_second]
    for name, (here, there) in found.changed.items():
        out.append(
            line(
                span(f"≠ {name}: ", "warn"),
                span(f"{here[0]} {shape_text(here[1])} → {there[0]} {shape_text(there[1])}"),
            )
        )
    return out if found.any else [*out, line(span("nothing differs", "good"))]
