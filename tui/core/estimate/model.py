"""What an estimate is made of: the machine, the run that is asked about, and the figures. All frozen, all in bytes."""

from __future__ import annotations

from tui.core.record import Record, field

CHOICES = ("auto", "float32", "bfloat16", "float16", "int8", "nf4")
"""Every dtype that can be asked for; the last two are quantized while loading (bitsandbytes)."""

BASE_ANONYMOUS = 259_000_000
BASE_FILE = 86_000_000
"""A CPU interpreter with torch, transformers and one modeling module imported (torch 2.13, transformers 5.23)."""

BASE_UNSURE = 150_000_000
"""How far the base of an interpreter that was not probed may be off."""


class Base(Record, frozen=True):
    """What the interpreter holds before the model: measured by a probe, else assumed."""

    anonymous: int = BASE_ANONYMOUS
    file: int = BASE_FILE
    source: str = "assumed"
    """`probed`, or `assumed` where the chosen Python was not asked."""

    @property
    def unsure(self) -> int:
        """Bytes by which it may be off, either way."""
        return BASE_UNSURE if self.source == "assumed" else self.anonymous // 100


class Holder(Record, frozen=True):
    """A process that holds memory of a device."""

    pid: int
    bytes: int | None
    name: str = ""


class Device(Record, frozen=True):
    """One GPU, or one instance of a partitioned one; `None` where the driver does not tell."""

    name: str
    free: int | None
    total: int | None
    uuid: str = ""
    index: int | None = None
    """The driver's own number of the GPU."""

    note: str = ""
    """What is special: an instance of a partitioned GPU, memory shared with the CPU, an error of the driver."""

    unified: bool = False
    """Whether its memory is the system's RAM."""

    holders: tuple[Holder, ...] = ()


class Place(Record, frozen=True):
    """The file system that the checkpoint lies on."""

    free: int | None = None
    total: int | None = None
    in_memory: bool = False
    """Whether it is a tmpfs: its pages are RAM that is already taken and cannot be dropped."""

    reason: str = ""


class Available(Record, frozen=True):
    """What this machine has, in bytes; `None` is unknown."""

    ram: int | None = None
    ram_total: int | None = None
    ram_source: str = "unknown"
    swap: int | None = None
    mappable: int | None = None
    devices: tuple[Device, ...] = ()
    devices_reason: str = ""
    base: Base = field(default_factory=Base)
    notes: tuple[str, ...] = ()
    """Limits that were looked for and could not be read, and why."""

    place: Place = field(default_factory=Place)


class Scenario(Record, frozen=True):
    """The run that is asked about."""

    dtype: str = "auto"
    context: int = 512
    batch: int = 1
    device: str = "cpu"
    """`cpu`, `cuda:N`, or `auto` for every GPU there is, filled as accelerate does."""

    training: bool = False
    """Whether to count gradients and AdamW's two moments."""


class Part(Record, frozen=True):
    """What one device of a placement holds."""

    device: str
    bytes: int
    free: int | None
    blocks: int
    """How many indivisible blocks of the model lie there."""


class Estimate(Record, frozen=True):
    """Bytes to load and to run one checkpoint; `None` is unknown."""

    dtype: str
    parameters: int | None
    weights: int | None
    """Bytes of the weights as loaded."""

    scenario: Scenario = field(default_factory=Scenario)
    base: int = BASE_ANONYMOUS
    base_source: str = "assumed"
    rule: str = ""
    """How it is loaded, in words: mapped, cast, fused, read whole, …"""

    load_peak: int | None = None
    run: int | None = None
    wants: int | None = None
    low: int | None = None
    high: int | None = None
    kv_cache: int | None = None
    kv_reason: str = ""
    """Why the cache is unknown, or why it is none."""

    logits: int | None = None
    activations: int | None = None
    """Working memory of one pass, without logits and cache."""

    activations_low: int | None = None
    activations_high: int | None = None
    training: int = 0
    """Gradients and optimizer state, where training was asked for."""

    device_overhead: int = 0
    device_total: int | None = None
    device_low: int | None = None
    device_high: int | None = None
    placement: tuple[Part, ...] = ()
    by_dtype: dict[str, int] = field(default_factory=dict)
    largest_mapping: int = 0
    not_modelled: tuple[str, ...] = ()
    """What this estimate leaves out, a sentence each."""

    verdict: str = "unknown"
    shortfall: int = 0
    advice: tuple[str, ...] = ()

    @property
    def must(self) -> int | None:
        """RAM without which the process is killed: the larger of both phases."""
        known = [size for size in (self.load_peak, self.run) if size is not None]
        return max(known) if known else None
