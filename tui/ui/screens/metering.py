"""What a user does with the resource meter: change the run that is asked about, measure, watch."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from textual import on, work

from tui.ui.render.meter import meter
from tui.ui.screens.base import Base
from tui.ui.widgets.meter import MeterView

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.loading.attempt import LoadOutcome, MemorySample
    from tui.ui.render.lines import Line

TICK = 1.0


class Metering(Base):
    """The deeds of the Memory pane."""

    measured: tuple[int, int] | None
    """(anonymous, file-backed) bytes of the attempt that runs."""

    def watch_memory(self) -> None:
        """Look at the machine once a second while the pane can be seen; nothing is drawn where nothing changed."""
        self.set_interval(TICK, self._tick)

    def _tick(self) -> None:
        if self.query_one("#memory").display and self.path is not None:
            self._look()

    @work(exclusive=True, group="meter", exit_on_error=False)
    async def _look(self) -> None:
        """In a thread: a driver may take seconds to answer."""
        if await asyncio.to_thread(self.session.meter.look):
            self.show_meter()

    @on(MeterView.Asked)
    def _asked(self, event: MeterView.Asked) -> None:
        state = self.session.meter
        deeds: dict[str, Callable[[], object]] = {
            "dtype": state.next_dtype,
            "device": state.next_device,
            "longer": partial(state.scale_context, True),
            "shorter": partial(state.scale_context, False),
            "larger": partial(state.scale_batch, True),
            "smaller": partial(state.scale_batch, False),
            "base": self.measure_base,
        }
        deeds[event.what]()
        self.show_meter()

    @work(exclusive=True, group="base", exit_on_error=False)
    async def measure_base(self) -> None:
        """Start the environment once and see what it holds before any model."""
        triage = self.triage
        if triage is None:
            return
        self.note_toast("starting the environment to measure what it holds …")
        error = await self.session.meter.measure_base(triage.checkpoint, self.session.options.python)
        if error:
            self.note_toast(error, "error")
        self.show_meter()

    def show_meter(self) -> None:
        """Make the rows again."""
        if self.is_mounted:
            self.query_one("#memory", MeterView).show(self.meter_rows)

    def meter_rows(self, width: int) -> list[Line]:
        """The meter of what is selected."""
        triage, state = self.triage, self.session.meter
        if triage is None:
            return meter(None, None, width)
        checkpoint = triage.checkpoint
        made = state.estimate(checkpoint, self.session.options.python)
        return meter(made, state.machine, width, self.measured, state.measured.get(checkpoint.path))

    def take_sample(self, sample: MemorySample) -> None:
        """What the attempt holds now; shown with the next lines of its log."""
        self.measured = (sample.anonymous, sample.file_backed)

    def keep_measured(self, path: str, outcome: LoadOutcome) -> None:
        """Predicted and measured side by side, once an attempt has loaded."""
        if outcome.outcome == "loaded":
            checkpoint = self.session.triages[path].checkpoint
            self.session.meter.ended(checkpoint, self.session.options.python, outcome.peak_anonymous)
