"""The resource meter's state: the run that is asked about, the machine as it was last looked at, what was measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui.core.estimate import CHOICES, Available, Base, Estimate, Scenario, estimate
from tui.errors import WorkerError
from tui.loading import base as bases

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.checkpoint import Checkpoint

SHORTEST, LONGEST = 16, 1 << 20
MOST_SEQUENCES = 4096
_NOTICED = 100
"""A change below this fraction of the total is not news: free memory never stands still."""


@dataclass(frozen=True)
class Measured:
    """What a load attempt took, beside what had been predicted for it."""

    predicted: int | None
    measured: int
    dtype: str


class Meter:
    """One for the explorer; estimates are made anew only where something changed."""

    def __init__(self, machine: Available, look: Callable[[], Available]) -> None:
        self.machine = machine
        self.scenario = Scenario()
        self.measured: dict[str, Measured] = {}
        self._look = look
        self._bases: dict[tuple[str | None, str], Base] = {}
        self._made: tuple[object, Estimate] | None = None

    def estimate(self, checkpoint: Checkpoint, python: str | None) -> Estimate:
        """The estimate for the run that is asked about, with the base of this environment where it was measured."""
        key = (checkpoint.path, id(checkpoint), self.scenario, id(self.machine), self.base(checkpoint, python))
        if self._made is None or self._made[0] != key:
            machine, asked = replace(self.machine, base=key[4]), self.scenario
            made = estimate(checkpoint, machine, asked.dtype, asked.context, asked.batch, asked.device, asked.training)
            self._made = key, made
        return self._made[1]

    def base(self, checkpoint: Checkpoint, python: str | None) -> Base:
        """What was measured for this environment and class, else what is assumed; looked up once."""
        asked = bases.question(checkpoint)
        key = python, str(asked)
        if key not in self._bases:
            self._bases[key] = bases.known(python, asked) or Base()
        return self._bases[key]

    async def measure_base(self, checkpoint: Checkpoint, python: str | None) -> str:
        """Measure the base of this environment; the error in words, empty where it was measured."""
        asked = bases.question(checkpoint)
        try:
            self._bases[python, str(asked)] = await bases.probe(python, asked)
        except WorkerError as error:
            return error.message
        return ""

    def look(self) -> bool:
        """Look at the machine again; whether anything changed that is worth showing. Runs in a thread."""
        now = self._look()
        if not _differs(self.machine, now):
            return False
        self.machine = now
        return True

    def ended(self, checkpoint: Checkpoint, python: str | None, measured: int | None) -> None:
        """Keep what a load attempt took, beside the prediction for the dtype that it loads in."""
        if measured is None:
            return
        made = estimate(checkpoint, replace(self.machine, base=self.base(checkpoint, python)))
        self.measured[checkpoint.path] = Measured(made.load_peak, measured, made.dtype)

    def next_dtype(self) -> None:
        """The next dtype of the choices, round and round."""
        self.scenario = replace(self.scenario, dtype=_after(CHOICES, self.scenario.dtype))

    def next_device(self) -> None:
        """CPU, each device, all of them together."""
        count = len(self.machine.devices)
        every = ("cpu", *(f"cuda:{index}" for index in range(count)), *(("auto",) if count > 1 else ()))
        self.scenario = replace(self.scenario, device=_after(every, self.scenario.device))

    def scale_context(self, longer: bool) -> None:
        """Twice or half as many tokens."""
        tokens = self.scenario.context * 2 if longer else self.scenario.context // 2
        self.scenario = replace(self.scenario, context=min(max(tokens, SHORTEST), LONGEST))

    def scale_batch(self, larger: bool) -> None:
        """Twice or half as many sequences."""
        count = self.scenario.batch * 2 if larger else self.scenario.batch // 2
        self.scenario = replace(self.scenario, batch=min(max(count, 1), MOST_SEQUENCES))


def _after(choices: tuple[str, ...], current: str) -> str:
    return choices[(choices.index(current) + 1) % len(choices)] if current in choices else choices[0]


def _differs(before: Available, now: Available) -> bool:
    """Whether a figure moved by a hundredth of its total, or anything else at all."""
    if _moved(before.ram, now.ram, before.ram_total):
        return True
    if len(before.devices) != len(now.devices):
        return True
    for old, new in zip(before.devices, now.devices, strict=True):
        if _moved(old.free, new.free, old.total) or (old.name, old.note) != (new.name, new.note):
            return True
    return (before.ram_source, before.devices_reason) != (now.ram_source, now.devices_reason)


def _moved(old: int | None, new: int | None, total: int | None) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(old - new) * _NOTICED > (total or old)
