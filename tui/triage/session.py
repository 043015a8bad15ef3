"""What the explorer keeps while it is open: one worker, the checkpoints found, their triages, and edits."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.core.config_edits import edited
from tui.core.diagnosis.evidence import Evidence
from tui.core.diagnosis.translated import FOREIGN
from tui.core.estimate import Available, Base, Estimate, Scenario, estimate
from tui.core.lfs_clone import LfsClone, concerns, read_clone, root_of
from tui.core.partial import final_name
from tui.core.record import Record, replace
from tui.core.report.model import Report, Triage, triage_of
from tui.core.scan import Found, scan
from tui.errors import WorkerError
from tui.loading import base as bases
from tui.loading.worker import EnvironmentInfo, Worker
from tui.system.cache_tree import Repository, repository_of
from tui.system.verified import Verified
from tui.triage.ask import ASKED_KINDS, Asker
from tui.triage.downloads import Downloads
from tui.triage.environment import available
from tui.triage.flow import gather
from tui.triage.own import compare_own
from tui.triage.paths import existing
from tui.triage.reading import read_deep

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.compare import Comparison, Draft
    from tui.core.deep.report import DeepReport
    from tui.core.pace import Pace
    from tui.triage.options import Options


class Edit(Record, frozen=True):
    """Changes to a config and the class chosen, for one checkpoint; nothing of it is on disk."""

    changes: tuple[tuple[str, Any], ...] = ()
    model_class: str | None = None
    code: str | None = None
    """Where a class of the user's own lies."""

    @property
    def mapping(self) -> dict[str, Any]:
        """The changes by key, the last of each."""
        return dict(self.changes)

    def with_change(self, key: str, value: Any) -> Edit:
        """One more change."""
        return replace(self, changes=(*self.changes, (key, value)))

    def with_class(self, name: str, code: str | None = None) -> Edit:
        """Another class."""
        return replace(self, model_class=name, code=code)


_USUAL = (
    ("labels", ("num_labels",)),
    ("vocabulary", ("vocab_size",)),
    ("layers", ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers")),
    ("hidden size", ("hidden_size", "n_embd", "d_model", "dim")),
    ("attention heads", ("num_attention_heads", "n_head", "num_heads")),
    ("feed-forward size", ("intermediate_size", "n_inner", "d_ff", "ffn_dim")),
    ("dtype", ("dtype", "torch_dtype")),
    ("tied embeddings", ("tie_word_embeddings",)),
)
"""What people edit, under the names that the families give it."""


def usual_values(config: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """(what it is, its dotted key, its value) of the usual fields that the config holds, at the top or in a part."""
    labels = config.get("id2label")
    out: list[tuple[str, str, Any]] = []
    for label, names in _USUAL:
        if label == "labels" and isinstance(labels, dict):
            out.append((label, "num_labels", len(labels)))
            continue
        for prefix, part in (("", config), ("text_config.", config.get("text_config"))):
            found = next((name for name in names if isinstance(part, dict) and name in part), None)
            if found is not None and isinstance(part, dict):
                out.append((label, prefix + found, part[found]))
                break
    return out


class Session:
    """The explorer's state that is not on screen."""

    def __init__(self, paths: list[str], options: Options) -> None:
        self.paths = paths
        self.options = options
        self.machine: Available = available()
        self.scenario = Scenario()
        """The run that the meter is asked about."""

        self.triages: dict[str, Triage] = {}
        self.pending: set[str] = set()
        """Checkpoints about which the loader is still to be asked."""

        self.estimates: dict[str, Estimate] = {}
        self.bases: dict[str, Base] = {}
        """By path: what the interpreter holds before the model, as far as it was measured."""

        self.edits: dict[str, list[Edit]] = {}
        self.compared: dict[str, Comparison] = {}
        """The comparison under the edits, by path."""

        self.rows: dict[str, Found] = {}
        """Where each checkpoint was found, to read it again."""

        self.repositories: dict[str, Repository] = {}
        """The repository of the hub cache by checkpoint."""

        self._repositories: dict[Path, Repository | None] = {}
        self.clones: dict[str, LfsClone] = {}
        """The git-lfs clone by checkpoint."""

        self._clones: dict[Path, LfsClone | None] = {}
        self.downloads = Downloads()
        self.deep: dict[str, DeepReport] = {}
        """What reading every byte told, by path."""

        self.worker = Worker(options.python, readable=self._roots())
        self.asker = Asker(self.worker)

    def _roots(self) -> list[str]:
        """Directories in which the worker may read tokenizers; of a hub cache's snapshot the whole repository."""
        places = [Path(shown).absolute() for shown in self.paths]
        snapshots = {place.parent.parent for place in places if place.parent.name == "snapshots"}
        return [str(place) for place in (*places, *sorted(snapshots)) if place.is_dir()]

    def scan(self, stop: threading.Event) -> Iterator[Triage]:
        """Read headers, one checkpoint after the other; the loader is not asked. Runs in a thread."""
        for shown in self.paths:
            for row in scan(existing(shown), shown):
                if stop.is_set():
                    return
                checkpoint = row.read()
                self.rows[checkpoint.path] = row
                yield self.first_look(checkpoint)

    def below(self, folder: str) -> list[Triage]:
        """What lies in a directory or below it."""
        start = "" if folder == "." else folder.rstrip("/") + "/"
        inside = [path for path in self.triages if path.startswith(start) or path == folder]
        if folder == ".":  # what lies there is named without it
            inside = [path for path in inside if not Path(path).is_absolute() and path.partition("/")[0] != ".."]
        return [self.triages[path] for path in inside]

    def first_look(self, checkpoint: Checkpoint) -> Triage:
        """What the files alone say."""
        made = estimate(checkpoint, self.machine)
        triage = triage_of(Evidence(checkpoint, available=self.machine, estimate=made, expected=self.options.expected))
        if checkpoint.kind in ASKED_KINDS or checkpoint.pickles:
            self.pending.add(checkpoint.path)
        self.triages[checkpoint.path] = triage
        self.downloads.consider(checkpoint)
        self._note_repository(checkpoint)
        self._note_clone(checkpoint)
        return triage

    def _note_repository(self, checkpoint: Checkpoint) -> None:
        """The repository of the hub cache that a checkpoint lies in, listed once for all of its revisions."""
        root = checkpoint.root.absolute()
        place = next((item for item in (root, *root.parents[:2]) if "--" in item.name), None)
        if place is None:
            return
        if place not in self._repositories:
            self._repositories[place] = repository_of(place)
        found = self._repositories[place]
        if found is not None:
            self.repositories[checkpoint.path] = found

    def _note_clone(self, checkpoint: Checkpoint) -> None:
        """The git-lfs clone that a checkpoint lies in, read once for all that lie there."""
        root = root_of(checkpoint.root.absolute())
        if root is None:
            return
        if root not in self._clones:
            self._clones[root] = read_clone(root)
        found = self._clones[root]
        if found is not None and concerns(found, checkpoint.location.absolute()):
            self.clones[checkpoint.path] = found

    def refs(self, path: str) -> tuple[str, ...]:
        """Branches and tags that point to a revision of the hub cache."""
        repository, commit = self.repositories.get(path), Path(path).name
        revisions = repository.revisions if repository is not None else ()
        return next((item.refs for item in revisions if item.commit == commit), ())

    def read_again(self, path: str) -> Triage | None:
        """What the files say by now; a download that has its final name is found under it. `None` where all is gone."""
        row = self.rows.pop(path, None)
        if row is None:
            return None
        if not os.path.lexists(row.location):
            row = replace(
                row, path=final_name(row.path), location=row.location.with_name(final_name(row.location.name))
            )
        if row.path != path or not os.path.lexists(row.location):
            self._forget(path)
        if not os.path.lexists(row.location):
            return None
        self.deep.pop(path, None)
        self.compared.pop(path, None)
        self._clones.clear()
        self.rows[row.path] = row
        return self.first_look(replace(row, names=frozenset()).read())

    def _forget(self, path: str) -> None:
        """A checkpoint that is not under this path any more."""
        self.triages.pop(path, None)
        self.pending.discard(path)
        self.downloads.drop(path)

    async def judge(self, path: str) -> Triage:
        """Ask the loader about a checkpoint; what fails leaves the files' answer and says why."""
        evidence = await gather(self.triages[path].checkpoint, self.asker, self.options, self.machine)
        triage = await asyncio.to_thread(triage_of, replace(evidence, deep=self.deep.get(path)))
        self.pending.discard(path)
        self.triages[path] = triage
        return triage

    async def verify(self, path: str, pace: Pace) -> DeepReport:
        """Read every byte of a checkpoint's weights, and judge it again; where it is cancelled it can go on later."""
        memory = Verified()
        report = await read_deep(self.triages[path].checkpoint, pace, memory)
        memory.finish()
        self.deep[path] = report
        await self.judge(path)
        return report

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
        comparison = await self._ask(path, self.edit(path), mode, fields=True)
        self.compared[path] = comparison
        return comparison

    async def compare_foreign(self, path: str) -> Comparison:
        """The comparison of weights that no class reads as they are, under a recovered config where none is known."""
        comparison = await self.asker.compare(self.triages[path].checkpoint, self.options.model_class)
        self.compared[path] = comparison.drafted or comparison
        return self.compared[path]

    def is_foreign(self, path: str | None) -> bool:
        """Whether a checkpoint holds weights of TensorFlow or Keras that were not compared yet."""
        triage = self.triages.get(path) if path is not None else None
        return triage is not None and triage.checkpoint.kind in FOREIGN and triage.checkpoint.path not in self.compared

    async def preview(self, path: str, edit: Edit) -> Comparison:
        """The comparison under an edit that is still being typed; a class of the user's own reads no config."""
        known = self.compared.get(path)
        if edit.code is not None and known is not None:
            return known
        return await self._ask(path, edit, "live", fields=False)

    async def _ask(self, path: str, edit: Edit, mode: str, fields: bool) -> Comparison:
        checkpoint = self.triages[path].checkpoint
        if edit.code is not None and edit.model_class is not None:
            return await compare_own(checkpoint, edit.model_class, edit.code, self.options.python)
        draft = self.draft(path)
        return await self.asker.compare(
            checkpoint,
            edit.model_class or (draft.model_class if draft is not None else None),
            edit.mapping,
            base=draft.config if draft is not None else None,
            mode=mode,
            fields=fields,
            candidates=False,
        )

    def probe(self) -> Available:
        """The machine as it is now, with what is known of its base."""
        return replace(available(), base=self.machine.base)

    def metered(self, path: str) -> Estimate | None:
        """The last estimate under the run that is asked about; the scan's own until there is one."""
        made = self.estimates.get(path)
        if made is not None and made.scenario == self.scenario:
            return made
        return self.triages[path].estimate

    def measure(self, path: str) -> None:
        """Estimate a checkpoint under the run that is asked about; forty-five thousand tensors take 0.2 s."""
        asked = self.scenario
        checkpoint = self.triages[path].checkpoint
        if path not in self.bases:
            self.bases[path] = bases.known(self.options.python, bases.question(checkpoint, None)) or self.machine.base
        machine = replace(self.machine, base=self.bases[path])
        self.estimates[path] = estimate(checkpoint, machine, asked.dtype, asked.context, asked.batch, asked.device)

    def draft(self, path: str) -> Draft | None:
        """The config recovered from the weights, where the checkpoint has none."""
        triage = self.triages.get(path)
        comparison = triage.comparison if triage is not None else None
        return comparison.drafts[0] if comparison is not None and comparison.drafts else None

    def config(self, path: str) -> dict[str, Any]:
        """The config as it is compared: edited, recovered, or as the file has it."""
        compared = self.compared.get(path)
        if compared is not None and compared.edited is not None:
            return compared.edited
        draft = self.draft(path)
        if draft is not None:
            return draft.config
        document = self.triages[path].checkpoint.config
        return document.mapping if document is not None else {}

    def config_to_save(self, path: str) -> dict[str, Any] | None:
        """The config that differs from the file's, `None` where none does."""
        edit = self.edit(path)
        if not edit.changes and self.draft(path) is None:
            return None
        compared = self.compared.get(path)
        answered = compared is not None and compared.edited is not None
        return self.config(path) if answered or not edit.changes else edited(self.config(path), edit.mapping)

    def usual(self, path: str) -> list[tuple[str, str, Any]]:
        """The values that are edited most: (what it is, its key, its value), those the weights contradict first."""
        config = self.config(path)
        comparison = self.comparison(path)
        suggested = [
            (f"{item.field} by the weights {item.weights}", item.field, item.config)
            for item in (comparison.fields if comparison is not None else ())
        ]
        return suggested + usual_values(config)

    def comparison(self, path: str) -> Comparison | None:
        """The comparison to show: under the edits where there are any."""
        triage = self.triages.get(path)
        if path in self.compared:
            return self.compared[path]
        comparison = triage.comparison if triage is not None else None
        return comparison.drafted or comparison if comparison is not None else None

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
        self.worker = Worker(python, readable=self._roots())
        self.asker = Asker(self.worker)
        self.compared.clear()
        self.bases.clear()
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
        return Report(tuple([triage.summary for triage in self.triages.values()]), info.python, info.packages)

    async def close(self) -> None:
        """End the worker."""
        await self.worker.close()
