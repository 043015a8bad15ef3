"""Questions to the worker about one checkpoint, answered once for like checkpoints."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from tui.core.compare import Comparison, drafts_of, from_answer, from_files
from tui.core.config_edits import config_text, edited
from tui.core.diagnosis import translated
from tui.core.diagnosis.classes import remote_imports
from tui.core.record import replace
from tui.errors import WorkerError

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.compare import Draft
    from tui.core.tensors import Tensor
    from tui.loading.worker import Worker

ASKED_KINDS = frozenset({"transformers"})
"""Kinds whose verdict is the class's `from_pretrained`."""


TOKENIZED_KINDS = frozenset({"transformers", "sentence_transformers", "tokenizer"})
"""Kinds whose tokenizer the environment's AutoTokenizer is asked about."""


PACKAGED_KINDS = frozenset(
    {"tensorflow_saved_model", "tensorflow_hub_module", "tensorflow_graph", "tensorflow_checkpoint", "keras"}
)
"""Kinds on which the environment's packages bear, which the worker names without importing one."""


class Asker:
    """Asks one worker; remembers answers by config, header and class, for as long as the worker's environment stays."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._answers: dict[str, dict[str, Any]] = {}

    async def compare(
        self,
        checkpoint: Checkpoint,
        model_class: str | None = None,
        changes: dict[str, Any] | None = None,
        *,
        base: dict[str, Any] | None = None,
        mode: str = "audit",
        fields: bool = True,
        candidates: bool = True,
    ) -> Comparison:
        """What the loader would collect and raise, with dotted config keys set as `changes` say.

        `base` is used in place of the file's config.
        """
        environment = await self.worker.ready()
        if not environment.available:
            return from_files(checkpoint, environment.reason)
        if base is None and (refused := _config_refused(checkpoint)) is not None:
            version = environment.packages.get("transformers", "")
            return Comparison(model_class or "AutoModel", f"transformers {version}", False, refused, "config")
        original, checkpoint = checkpoint, translated.as_transformers(checkpoint)
        foreign = translated.unknown(original) if checkpoint is original else None
        if foreign is not None:
            return not_translated(model_class, *foreign, str(environment.packages.get("transformers", "")))
        request = await asyncio.to_thread(self._request, checkpoint, model_class, changes, base)
        absurd = absurd_value(edited(request["values"], changes or {}))
        if absurd:
            return not_tried(checkpoint, model_class, absurd, str(environment.packages.get("transformers", "")))
        request.update(mode=mode, fields=fields, candidates=candidates)
        if candidates and request["key"]:
            request["also"] = await asyncio.to_thread(self._resembling, checkpoint, request)
        memo = _digest(request, mode, fields, candidates)
        answer = self._answers.get(memo)
        if answer is None:
            answer = await self._asked("compare", checkpoint, request)
            if len(self._answers) > 512:
                self._answers.clear()
            self._answers[memo] = answer
        comparison = await asyncio.to_thread(_finished, answer, checkpoint)
        if candidates and base is None and not changes and needs_draft(checkpoint):
            comparison = await self._with_draft(comparison, checkpoint, model_class)
        return _before_conversion(comparison, original) if checkpoint is not original else comparison

    async def _with_draft(self, comparison: Comparison, checkpoint: Checkpoint, model_class: str | None) -> Comparison:
        """The comparison with configs recovered from the weights, and the comparison under the best of them."""
        drafts = await self.drafts(checkpoint, model_class)
        if not drafts:
            return comparison
        best = drafts[0]
        under = await self.compare(checkpoint, best.model_class, base=best.config, candidates=False)
        total = max(len(loader_tensors(checkpoint)), 1)
        ranked = tuple(
            {"class": item.model_class, "matched": round(1 - min(item.differences / total, 1), 4)} for item in drafts
        )
        return replace(comparison, drafts=drafts, drafted=under, candidates=ranked)

    async def _asked(self, operation: str, checkpoint: Checkpoint, request: dict[str, Any]) -> dict[str, Any]:
        """The worker's answer about a checkpoint, which is opened first, or again: the worker keeps a few only."""
        key = request["key"]
        if key and key not in self.worker.opened:
            await self._open(checkpoint, key)
        answer = await self.worker.request(operation, **request)
        if "unopened" in answer:
            await self._open(checkpoint, key)
            answer = await self.worker.request(operation, **request)
        return answer

    async def drafts(self, checkpoint: Checkpoint, model_class: str | None = None) -> tuple[Draft, ...]:
        """Configs recovered from the weights, best first; empty where the tensor names are of no known family."""
        from tui.core import families

        names = [tensor.name for tensor in loader_tensors(checkpoint)]
        ranked = await asyncio.to_thread(families.rank, names)
        if model_class is not None:
            ranked = [item for item in ranked if item.model_class == model_class] or ranked
        if not ranked or ranked[0].wrapper:
            return ()
        key = header_digest(checkpoint)
        memo = f"draft {key} {model_class}"
        answer = self._answers.get(memo)
        if answer is None:
            wanted = [[item.model_type, item.model_class, item.likeness] for item in ranked]
            answer = await self._asked("draft", checkpoint, {"key": key, "families": wanted})
            self._answers[memo] = answer
        return drafts_of(answer)

    def _request(
        self,
        checkpoint: Checkpoint,
        model_class: str | None,
        changes: dict[str, Any] | None,
        base: dict[str, Any] | None,
    ) -> dict[str, Any]:
        document = checkpoint.config
        text: str | None = None
        values: dict[str, Any] = {}
        if base is not None:
            text, values = config_text(base), base
        elif document is not None and document.text:
            text, values = document.text, document.mapping
        error = weights_error(checkpoint)
        if base is not None and checkpoint.is_file and _readable(checkpoint):
            error = None
        return {
            "class": model_class,
            "config": text,
            "values": values,
            "changes": changes or None,
            "shown": _SHOWN,
            "weights_error": list(error) if error is not None else None,
            "key": "" if error is not None else header_digest(checkpoint),
        }

    def _resembling(self, checkpoint: Checkpoint, request: dict[str, Any]) -> list[str]:
        """Classes of another model type that the tensor names are likest, where the config names the wrong one."""
        from tui.core import families

        memo = f"families {request['key']}"
        if memo not in self._answers:
            ranked = families.rank([tensor.name for tensor in loader_tensors(checkpoint)], 4)
            self._answers[memo] = {"likest": [[item.model_type, item.model_class] for item in ranked]}
        likest = self._answers[memo]["likest"]
        named = request["values"].get("model_type")
        return [name for kind, name in likest if kind != named] if likest and likest[0][0] != named else []

    async def _open(self, checkpoint: Checkpoint, key: str) -> None:
        """Give the worker the names, dtypes and shapes; never a byte of weight."""
        tensors = await asyncio.to_thread(loader_tensors, checkpoint)
        first = checkpoint.weight_files[0].name if len(checkpoint.weight_files) > 1 else ""
        count = sum(1 for tensor in tensors if tensor.file == first) if first else 0
        names = {tensor.name for tensor in tensors}
        others = [name for _, pickle in checkpoint.pickles for name in pickle.top_keys if name not in names]
        if checkpoint.weights.kind != "bin":
            others = []
        await self.worker.request(
            "open",
            key=key,
            tensors=[[tensor.name, tensor.dtype, list(tensor.shape)] for tensor in tensors],
            first=count,
            others=others,
        )
        self.worker.opened.add(key)

    async def tokenizer(self, checkpoint: Checkpoint) -> dict[str, Any] | None:
        """What AutoTokenizer makes of a directory that holds tokenizer files; `None` where there are none."""
        found = checkpoint.tokenizer
        if found is None or checkpoint.is_file:
            return None
        environment = await self.worker.ready()
        if not environment.available:
            return None
        memo = f"tokenizer {found.digest} {_model_type(checkpoint)}"
        answer = self._answers.get(memo)
        if answer is None:
            answer = await self.worker.request("tokenizer", path=str(checkpoint.root.absolute()))
            self._answers[memo] = answer
        return answer

    async def importable(self, checkpoint: Checkpoint) -> dict[str, str] | None:
        """Whether what its pickles name and its own code imports can be found in the worker's environment."""
        names = list(dict.fromkeys(name for _, pickle in checkpoint.pickles for name in pickle.unlisted))
        names += [f"{module}.__name__" for module in remote_imports(checkpoint)]
        if not names:
            return None
        try:
            answer = await self.worker.request("importable", names=names)
        except WorkerError:
            return None
        found = answer.get("names")
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else None


def needs_draft(checkpoint: Checkpoint) -> bool:
    """Whether the config that names the family is absent while the weights can be read."""
    document = checkpoint.config
    broken = document is not None and document.problem is not None
    named = document is not None and bool(document.mapping.get("model_type"))
    return not broken and not named and _readable(checkpoint)


def _readable(checkpoint: Checkpoint) -> bool:
    """Whether the tensors' names and shapes are known and the loader could read their bytes."""
    error = weights_error(checkpoint)
    alone = checkpoint.is_file and all(file.fatal is None for file in checkpoint.weight_files)
    return bool(loader_tensors(checkpoint)) and (error is None or alone)


MOST_MODULES = 20_000
"""More layers or experts than this are not built: the largest real models have a few hundred."""


def absurd_value(values: dict[str, Any], depth: int = 0) -> str:
    """The config value that would make the model larger than any machine, empty where there is none."""
    for key, value in values.items():
        if isinstance(value, dict) and depth < 4:
            found = absurd_value(value, depth + 1)
            if found:
                return found
        counted = any(part in key for part in ("layer", "expert", "depth", "block")) and not key.endswith("_id")
        counted = counted or key in ("num_labels", "n_labels")
        if counted and isinstance(value, int) and not isinstance(value, bool) and value > MOST_MODULES:
            return f"{key} is {str(value)[:40]}"
    return ""


def _config_refused(checkpoint: Checkpoint) -> tuple[str, str] | None:
    """What the loader raises where config.json is there and cannot be opened."""
    problem = checkpoint.config.problem if checkpoint.config is not None else None
    return problem.loader_error if problem is not None and problem.code == "hub-permission" else None


def not_tried(checkpoint: Checkpoint, model_class: str | None, absurd: str, version: str) -> Comparison:
    """A comparison that was not made, because building the model would take all memory."""
    names = checkpoint.settings.get("architectures")
    named = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None
    words = f"{absurd}: no machine builds a model of so many modules, so it was not tried"
    return Comparison(model_class or named, f"transformers {version}", False, ("NotTried", words), "not tried")


def not_translated(model_class: str | None, why: str, names: tuple[str, ...], version: str) -> Comparison:
    """A comparison that was not made, because nobody knows the names of the weights."""
    error = ("NotTranslated", why)
    return Comparison(model_class, f"transformers {version}", False, error, "not tried", undecided=names)


def _before_conversion(comparison: Comparison, original: Checkpoint) -> Comparison:
    """The comparison of what a conversion will make, as the answer for weights that nobody has converted yet."""
    told = translated.not_compared(original)
    if comparison.drafted is not None:
        under = _before_conversion(comparison.drafted, original)
        recovered = tuple(f"config recovered from the weights: {draft.words()}" for draft in comparison.drafts[:1])
        comparison = replace(comparison, drafted=replace(under, undecided=under.undecided + recovered))
    comparison = replace(comparison, undecided=comparison.undecided + told)
    if not comparison.loads:
        return comparison
    named = original.kind == "transformers"
    return replace(comparison, loads=False, error=weights_error(original) if named else translated.NOT_CONVERTED)


def _model_type(checkpoint: Checkpoint) -> str:
    config = checkpoint.settings
    return f"{config.get('model_type')} {config.get('tokenizer_class')}"


_SHOWN = "\x01PATH\x01"
"""Stands for the checkpoint's path in the worker's answers, so that like checkpoints share them."""


def _finished(answer: dict[str, Any], checkpoint: Checkpoint) -> Comparison:
    """The answer as a comparison, already folded: forty-five thousand rows take longer than a screen may wait."""
    comparison = _placed(from_answer(answer), checkpoint)
    _ = comparison.differences, comparison.matching
    return comparison


def _placed(comparison: Comparison, checkpoint: Checkpoint) -> Comparison:
    """The answer with this checkpoint's path in its words."""
    if comparison.error is None:
        return comparison
    kind, message = comparison.error
    return replace(comparison, error=(kind, message.replace(_SHOWN, checkpoint.path)))


def weights_error(checkpoint: Checkpoint) -> tuple[str, str] | None:
    """What the loader raises on the weight files, before it has a tensor; `None` where it can read them all."""
    for problem in checkpoint.weights.problems:
        if problem.fatal:
            return problem.loader_error or ("OSError", problem.message)
    if not checkpoint.weights.files:
        message = f"Error no file named model.safetensors, or pytorch_model.bin, found in directory {checkpoint.path}."
        return ("OSError", message)
    for file in checkpoint.weight_files:
        if file.fatal is not None:
            return file.fatal.loader_error or ("OSError", file.fatal.message)
        if file.pickle is not None and file.pickle.weights_only_error is not None:
            return file.pickle.weights_only_error
        if checkpoint.weights.kind == "safetensors" and file.format != "safetensors":
            return ("SafetensorError", "Error while deserializing header: header too large")
    return None


def loader_tensors(checkpoint: Checkpoint) -> list[Tensor]:
    """The tensors that the loader finds at the top of its files; the first file's first."""
    return [tensor for tensor in checkpoint.tensors if tensor.role not in ("nested", "optimizer", "module")]


def header_digest(checkpoint: Checkpoint) -> str:
    """Identity of the names, dtypes and shapes."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in checkpoint.tensors:
        digest.update(
            f"{tensor.name}\0{tensor.dtype}\0{tensor.shape}\0{tensor.role}\n".encode("utf-8", "surrogatepass")
        )
    for _, pickle in checkpoint.pickles:
        digest.update(repr(pickle.top_keys).encode("utf-8", "backslashreplace"))
    digest.update(str([file.name for file in checkpoint.weight_files]).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _digest(request: dict[str, Any], *options: Any) -> str:
    text = repr(
        (request["class"], request["config"], request["changes"], request["weights_error"], request["key"], options)
    )
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()
