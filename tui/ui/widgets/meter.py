"""The Memory pane: rows like any other, and keys that change the run that is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from tui.ui.widgets.line_view import LineView


class MeterView(LineView):
    """Says which figure of the run the user wants changed; who answers is not its business."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "ask('dtype')", "Dtype", show=False),
        Binding("plus,equals_sign", "ask('longer')", "Longer", show=False),
        Binding("minus", "ask('shorter')", "Shorter", show=False),
        Binding("b", "ask('larger')", "Larger batch", show=False),
        Binding("B", "ask('smaller')", "Smaller batch", show=False),
        Binding("v", "ask('device')", "Device", show=False),
        Binding("m", "ask('base')", "Measure", show=False),
    ]

    @dataclass
    class Asked(Message):
        """A key of the meter was pressed."""

        what: str
        """`dtype`, `longer`, `shorter`, `larger`, `smaller`, `device` or `base`."""

    def action_ask(self, what: str) -> None:
        """Hand the wish on."""
        self.post_message(self.Asked(what))
