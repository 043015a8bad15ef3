"""The deeds of the Memory pane: the run that is asked about, and a look at the machine once a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import work

from tui.core.estimate import CHOICES, Scenario
from tui.core.record import replace
from tui.core.text import bytes_size
from tui.ui.screens.base import Base

if TYPE_CHECKING:
    from tui.core.estimate import Available
    from tui.ui.render.meter import Measured

_LEAST_CONTEXT = 64
_MOST_CONTEXT = 1 << 20
_MOST_BATCH = 64


class Metering(Base):
    """What the keys of the Memory pane do; each answers at once, from headers and config alone."""

    measured: dict[str, Measured]
    """By path: what the last load attempt held."""

    def _meter(self, scenario: Scenario) -> None:
        self.session.scenario = scenario
        self.refresh_meter()

    def show_meter(self) -> None:
        """Repaint the Memory pane where it says something else than it shows."""
        raise NotImplementedError

    @work(exclusive=True, group="meter", exit_on_error=False)
    async def refresh_meter(self) -> None:
        """Estimate again, in a thread, and show it."""
        if self.path is not None:
            await asyncio.to_thread(self.session.measure, self.path)
            self.show_meter()

    def action_context(self, factor: int) -> None:
        """Twice or half as many tokens."""
        now = self.session.scenario
        wanted = now.context * factor if factor > 0 else now.context // -factor
        self._meter(replace(now, context=min(max(wanted, _LEAST_CONTEXT), _MOST_CONTEXT)))

    def action_batch(self) -> None:
        """Twice as many sequences, and back to one."""
        now = self.session.scenario
        self._meter(replace(now, batch=now.batch * 2 if now.batch < _MOST_BATCH else 1))

    def action_dtype(self) -> None:
        """The next dtype."""
        now = self.session.scenario
        self._meter(replace(now, dtype=CHOICES[(CHOICES.index(now.dtype) + 1) % len(CHOICES)]))

    def action_device(self) -> None:
        """The next device: CPU, each GPU, all of them."""
        count = len(self.session.machine.devices)
        choices = ["cpu", *(f"cuda:{index}" for index in range(count)), *(["auto"] if count else [])]
        now = self.session.scenario
        place = choices.index(now.device) if now.device in choices else 0
        if not count:
            self.note_toast(self.session.machine.devices_reason or "no GPU found")
        self._meter(replace(now, device=choices[(place + 1) % len(choices)]))

    @work(exclusive=True, group="machine", exit_on_error=False)
    async def look_at_machine(self) -> None:
        """Probe in a thread, since a driver may hang; estimate again only where a figure on screen changes."""
        machine = await asyncio.to_thread(self.session.probe)
        if _shown(machine) != _shown(self.session.machine):
            self.session.machine = machine
            self.refresh_meter()


def _shown(machine: Available) -> tuple[str, ...]:
    """The machine's figures as the pane writes them: free RAM changes with every tick, its first digits do not."""
    devices = [f"{device.name} {bytes_size(device.free)}" for device in machine.devices]
    return (bytes_size(machine.ram), machine.ram_source, machine.devices_reason, *devices, *machine.notes)
