"""What the explorer keeps while it is open: one worker, the checkpoints found, their triages, and edits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tui.core.diagnosis.evidence import Evidence
from tui.core.estimate import Available, estimate
from tui.core.report.model import Report, Triage, triage_of
from tui.core.scan import scan
from tui.errors import WorkerError
from tui.loading.worker import EnvironmentInfo, Worker
from tui.triage.ask import ASKED_KINDS, Asker
from tui.triage.environment import available
from tui.triage.flow import Options, gather
from tui.triage.paths import existing

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.compare import Comparison


@dataclass(frozen=True)
class Edit:
    """Changes to a config and the class chosen, for one checkpoint; nothing of it is on disk."""

    changes: tuple[tuple[str, Any], ...] = ()
    model_class: str | None = None

    @property
    def mapping(self) -> dict[str, Any]:
        """The changes by key, the last of each."""
        return dict(self.changes)

    def with_change(self, key: str, value: Any) -> Edit:
        """One more change."""
        return replace(self, changes=(*self.changes, (key, value)))


class Session:
    """The explorer's state that is not on screen."""

    def __init__(self, paths: list[str], options: Options) -> None:
        self.paths = paths
        self.options = options
        self.machine: Available = available()
        self.triages: dict[str, Triage] = {}
        self.pending: set[str] = set()
        """Checkpoints about which the loader is still to be asked."""

        self.edits: dict[str, list[Edit]] = {}
        self.compared: dict[str, Comparison] = {}
        """The comparison under the edits, by path."""

        self.worker = Worker(options.python)
        self.asker = Asker(self.worker)

    def scan(self, stop: threading.Event) -> Iterator[Triage]:
        """Read headers, one checkpoint after the other; the loader is not asked. Runs in a thread."""
        for shown in self.paths:
            for row in scan(existing(shown), shown):
                if stop.is_set():
                    return
                yield self.first_look(row.read())

    def first_look(self, checkpoint: Checkpoint) -> Triage:
        """What the files alone say."""
        made = estimate(checkpoint, self.machine)
        triage = triage_of(Evidence(checkpoint, available=self.machine, estimate=made, expected=self.options.expected))
        if checkpoint.kind in ASKED_KINDS or checkpoint.pickles:
            self.pending.add(checkpoint.path)
        self.triages[checkpoint.path] = triage
        return triage

    async def judge(self, path: str) -> Triage:
        """Ask the loader about a checkpoint; what fails leaves the files' answer and says why."""
        evidence = await gather(self.triages[path].checkpoint, self.asker, self.options, self.machine)
        triage = triage_of(evidence)
        self.pending.discard(path)
        self.triages[path] = triage
        return triage

    def edit(self, path: str) -> Edit:
        """The edits of a checkpoint, as they stand."""
        stack = self.edits.get(path)
        return stack[-1] if stack else Edit()

    def push(self, path: str, edit: Edit) -> None:
        """Edit further; `undo` takes it back."""
        self.edits.setdefault(path, []).append(edit)

    def undo(self, path: str) -> bool:
        """Take the last edit back; whether there was one."""
        stack = self.edits.get(path)
        if not stack:
            return False
        stack.pop()
        if not stack:
            self.compared.pop(path, None)
        return True

    async def compare_edited(self, path: str, mode: str) -> Comparison:
        """The comparison under the edits of a checkpoint."""
        checkpoint = self.triages[path].checkpoint
        now = self.edit(path)
        triaged = self.triages[path].comparison
        draft = triaged.drafts[0] if triaged is not None and triaged.drafts else None
        comparison = await self.asker.compare(
            checkpoint,
            now.model_class or (draft.model_class if draft is not None else None),
            now.mapping,
            base=draft.config if draft is not None else None,
            mode=mode,
            candidates=False,
        )
        self.compared[path] = comparison
        return comparison

    def comparison(self, path: str) -> Comparison | None:
        """The comparison to show: under the edits where there are any."""
        triage = self.triages.get(path)
        return self.compared.get(path) or (triage.comparison if triage is not None else None)

    async def tokenizer(self, path: str, text: str) -> dict[str, Any]:
        """What AutoTokenizer of the environment makes of the directory."""
        root = self.triages[path].checkpoint.root.absolute()
        try:
            return await self.worker.request("tokenizer", path=str(root), text=text)
        except WorkerError as error:
            return {"error": {"type": "WorkerError", "message": error.message}}

    async def use_python(self, python: str) -> None:
        """Another environment: everything is to be asked again."""
        await self.worker.close()
        self.options = replace(self.options, python=python)
        self.worker = Worker(python)
        self.asker = Asker(self.worker)
        self.compared.clear()
        self.pending = {
            path
            for path, triage in self.triages.items()
            if triage.checkpoint.kind in ASKED_KINDS or triage.checkpoint.pickles
        }

    def environment(self) -> EnvironmentInfo:
        """Who the worker is, as far as it has said."""
        return self.worker.environment

    def report(self) -> Report:
        """Everything found so far."""
        info = self.worker.environment
        return Report(tuple(self.triages.values()), info.python, info.packages)

    async def close(self) -> None:
        """End the worker."""
        await self.worker.close()
