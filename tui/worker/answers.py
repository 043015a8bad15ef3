"""One comparison from class and config to the answer that goes over the pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckptriage_worker import audit, configs, direct, edits, quantizers
from ckptriage_worker.configs import Stop
from ckptriage_worker.libraries import error_of, has, transformers

if TYPE_CHECKING:
    from ckptriage_worker.states import State


class Comparing:
    """One comparison: the live answer, and what is still to be asked of the public loader."""

    def __init__(self, request: dict[str, Any], state: State | None) -> None:
        """`request`: `class` (name or None), `config` (text or None), `values` (the parsed config), `changes` (dotted
        keys to set), `shown` (the user's path), `weights_error` (`[type, message]` where the loader fails on the
        files), `mode` (`live` or `audit`).
        """
        self.request = request
        self.state = state
        self.own: direct.Outcome | None = None
        self.official: tuple[Any, Any] | None = None
        """Class and config to ask the public loader with, `None` where it is not to be asked."""

        values = request.get("values") or {}
        name = request.get("class") or configs.default_class(values)
        self.answer: dict[str, Any] = {
            "source": f"transformers {transformers().__version__}",
            "model_class": name,
            "stage": "done",
            "error": None,
            "missing": [],
            "unexpected": [],
            "mismatched": [],
            "matched": 0,
            "path": "live",
        }
        try:
            edits.apply(request, name, self.answer)
            cls, config, _ = configs.resolve(name, request.get("config"), request.get("shown") or "")
            self.answer["model_class"] = cls.__name__
            self.answer["config_class"] = type(config).__name__
            self.answer["contradictions"] = edits.contradictions(request.get("values") or {}, config)
            self._weights(cls, config)
        except Stop as stop:
            _stopped(self.answer, stop)

    def _weights(self, cls: Any, config: Any) -> None:
        """Quantizer, files, build, bookkeeping: in the loader's order."""
        try:
            quantizer, config = quantizers.pick(config)
        except Exception as error:
            raise Stop("quantizer", error)
        self.answer["undecided"] = quantizers.undecided(quantizer)
        if self.request.get("weights_error") or self.state is None:
            kind, message = self.request.get("weights_error") or ["OSError", "no weights were found"]
            self.answer["stage"] = "files"
            self.answer["error"] = {"type": kind, "message": message}
            return
        live, can_audit = direct.applies(), has("accelerate")
        if not live and not can_audit:
            raise Stop("build", RuntimeError("this transformers has no live path, and accelerate is not installed"))
        audited = self.request.get("mode") == "audit" or not live
        if audited and can_audit:
            self.official = (cls, config)
        elif audited:
            self.answer["not_audited"] = "accelerate is not in this environment"
        if live and (quantizer is None or self.official is None):
            self.own = _guarded(direct.compare, cls, config, self.state, quantizer)
            fill(self.answer, self.own, self.state)

    def ask_officially(self) -> dict[str, Any]:
        """What the public loader collects or raises, as JSON; meant for a process of its own."""
        if self.official is None or self.state is None:
            raise ValueError("there is nothing to ask the public loader")
        try:
            outcome = _guarded(audit.compare, *self.official, self.state)
            if outcome.mismatched and not direct.applies():
                outcome.raised = audit.plain_error(*self.official, self.state)
            return {"outcome": outcome.as_json()}
        except Stop as stop:
            return {"stop": error_of(stop.error), "stage": stop.stage}

    def settle(self, said: dict[str, Any] | None, reason: str = "") -> None:
        """Take the public loader's answer, which wins; without one the live answer stands and says why."""
        if self.official is None or self.state is None:
            return
        if said is None:
            self.answer["not_audited"] = reason
            if self.own is None:
                _stopped(self.answer, Stop("build", RuntimeError(f"the loader could not be asked: {reason}")))
            return
        self.answer["path"] = "audit"
        if "stop" in said:
            if self.own is not None and (self.own.error() or {}).get("type") != said["stop"]["type"]:
                self.answer["disagreement"] = [f"the loader raises {said['stop']['type']}, the live path does not"]
            self.answer.update(missing=[], unexpected=[], mismatched=[], rows=[], matched=0)
            self.answer.update(stage=said["stage"], error=said["stop"])
            return
        official = direct.Outcome.of_json(said["outcome"])
        if self.own is None:
            official.sources = {name: [name] for name in official.shapes if name in self.state.meta}
            fill(self.answer, official, self.state)
            return
        unequal_ties = any(target in self.own.mismatched for target, _ in self.own.ties_unknown)
        differs = [] if unequal_ties else _differences(self.own, official)
        if differs:
            self.answer["disagreement"] = differs
            official.adopt(self.own)
            fill(self.answer, official, self.state)

    def finished(self) -> dict[str, Any]:
        """The answer, with whether the plain call returns a model."""
        self.answer["loads"] = self.answer["error"] is None
        return self.answer


def _guarded(function: Any, *arguments: Any) -> direct.Outcome:
    """An exception on the way to the bookkeeping is the loader's own: build or conversion."""
    try:
        return function(*arguments)
    except Exception as error:
        raise Stop("build", error)


def _differences(own: direct.Outcome, official: direct.Outcome) -> list[str]:
    """In which sets the two paths differ; empty where they agree."""
    out = []
    for name in ("missing", "unexpected"):
        if getattr(own, name) != getattr(official, name):
            out.append(f"{name}: {sorted(getattr(own, name) ^ getattr(official, name))[:20]}")
    if set(own.conversion) != set(official.conversion):
        out.append(f"conversion: {sorted(set(own.conversion) ^ set(official.conversion))[:20]}")
    if set(own.mismatched) != set(official.mismatched):
        out.append(f"mismatched: {sorted(set(own.mismatched) ^ set(official.mismatched))[:20]}")
    return out


def fill(answer: dict[str, Any], outcome: direct.Outcome, state: State) -> None:
    """Sets and rows, sorted, since the loader's order is that of sets."""
    answer["error"] = outcome.error()
    answer["stage"] = "weights" if answer["error"] is not None else "done"
    answer["missing"] = sorted(outcome.missing)
    answer["unexpected"] = sorted(outcome.unexpected)
    answer["mismatched"] = [
        {"key": key, "checkpoint": shapes[0], "model": shapes[1]} for key, shapes in sorted(outcome.mismatched.items())
    ]
    answer["conversion"] = {key: text[-2000:] for key, text in sorted(outcome.conversion.items())}
    good = [key for key in outcome.sources if key not in outcome.mismatched and key not in outcome.conversion]
    answer["matched"] = len(good)
    answer["renamed"] = outcome.renamed
    back = {new: old for old, new in outcome.renamed.items()}
    answer["unexpected_shapes"] = {key: state.shape(back.get(key, key)) for key in sorted(outcome.unexpected)}
    answer["tied"] = [list(pair) for pair in outcome.tied]
    answer["ties_unknown"] = [list(pair) for pair in outcome.ties_unknown]
    tied = {target for target, source in outcome.tied if source in outcome.sources or target in outcome.sources}
    tied |= {source for target, source in outcome.tied if target in outcome.sources}
    total = sum(outcome.parameters.values())
    from_file = set(good) | tied
    covered = sum(count for key, count in outcome.parameters.items() if key in from_file)
    answer["model_parameters"] = total
    answer["covered_parameters"] = covered
    answer["rows"] = [
        [key, outcome.sources.get(key, []), outcome.shapes.get(key), state.shape((outcome.sources.get(key) or [""])[0])]
        for key in sorted(set(outcome.shapes) | set(outcome.sources))
    ]


def _stopped(answer: dict[str, Any], stop: Stop) -> None:
    """The loader would stop before it has a model."""
    answer["stage"] = stop.stage
    answer["error"] = error_of(stop.error)
    if stop.cls:
        answer["model_class"] = stop.cls
