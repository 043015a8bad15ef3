"""What a pickle does when it is loaded, as it is noted, and the bytes it is read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui.core.files import FileProblem, RegularFile

if TYPE_CHECKING:
    from tui.core.formats.pickles.values import Call, Global

MAX_GLOBALS = 10_000
_WINDOW = 1 << 20


class PickleBroken(Exception):
    """The stream is no complete pickle; `offset` is where it broke."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass
class Trace:
    """What one pickle does when it is loaded."""

    globals: dict[Global, None] = field(default_factory=dict)
    """Names that loading would import, each once, in the order of the stream."""

    calls: list[Call] = field(default_factory=list)
    reasons: list[tuple[str, str]] = field(default_factory=list)
    """(level, sentence) for each irregularity of the stream itself."""

    refusal: str | None = None
    """The first words of `weights_only`, without their prelude; `None` where it accepts the stream."""

    protocol: int = 0
    value: Any = None
    end: int = 0
    """Offset after STOP."""

    opcodes: int = 0
    persistent: bool = False
    holds: bool = False
    """Whether a tensor, an array or a reference to one was met; without, the value need not be searched."""

    def refuse(self, message: str) -> None:
        """Note what `weights_only` raises, the first time."""
        if self.refusal is None:
            self.refusal = message

    def note(self, found: Global) -> None:
        """Note a name; too many different ones are not a model's, and are said."""
        if found in self.globals:
            return
        if len(self.globals) >= MAX_GLOBALS:
            self.flag("not_verified", f"imports more than {MAX_GLOBALS:,} different names")
        else:
            self.globals[found] = None

    def absorb(self, other: Trace) -> None:
        """Take over what a pickle inside this one would do."""
        for found in other.globals:
            self.note(found)
        for level, sentence in other.reasons:
            self.flag(level, sentence)
        self.calls.extend(other.calls[: max(MAX_GLOBALS - len(self.calls), 0)])
        self.opcodes += other.opcodes
        self.holds = self.holds or other.holds
        if other.refusal is not None:
            self.refuse(other.refusal)

    def flag(self, level: str, sentence: str) -> None:
        """Note an irregularity, each once; a full list still takes what is worse than it holds."""
        if (level, sentence) in self.reasons:
            return
        if len(self.reasons) < 64 or level not in {known for known, _ in self.reasons}:
            self.reasons.append((level, sentence))


class Source:
    """Bytes that the machine reads: a window over a file, or a buffer."""

    def __init__(self, file: RegularFile | None, data: bytes = b"", end: int | None = None) -> None:
        self._file = file
        self.data = data
        self.base = 0
        self.end = end if end is not None else (file.size if file is not None else len(data))

    def at(self, position: int, count: int) -> bytes:
        """At most `count` bytes from `position`, which leave the window where it is."""
        count = max(min(count, self.end - position), 0)
        if self._file is None:
            return self.data[position : position + count]
        try:
            return self._file.read(position, count)
        except FileProblem:
            return b""

    def window(self, position: int, count: int) -> None:
        """Make `count` bytes from `position` available, or raise `PickleBroken`."""
        if position + count > self.end or self._file is None:
            raise PickleBroken("ends in the middle of an opcode", min(position, self.end))
        size = min(max(count, _WINDOW), self.end - position)
        try:
            self.data = self._file.read(position, size)
        except FileProblem as problem:
            raise PickleBroken(problem.problem.message, position) from None
        self.base = position
