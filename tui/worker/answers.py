"""One comparison from class and config to the answer that goes over the pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckptriage_worker import audit, configs, direct, quantizers
from ckptriage_worker.configs import Stop
from ckptriage_worker.libraries import error_of, has, transformers

if TYPE_CHECKING:
    from ckptriage_worker.states import State


def compare(request: dict[str, Any], state: State | None) -> dict[str, Any]:
    """What the loader would collect and raise for the request's class and config.

    `request`: `class` (name or None), `config` (text or None), `values` (the parsed config), `shown` (the user's path),
    `weights_error` (`[type, message]` where the loader fails on the files), `mode` (`live` or `audit`).
    """
    values = request.get("values") or {}
    name = request.get("class") or configs.default_class(values)
    answer: dict[str, Any] = {
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
        cls, config, replacements = configs.resolve(name, request.get("config"), request.get("shown") or "")
        answer["model_class"] = cls.__name__
        answer["config_class"] = type(config).__name__
        _weights(request, state, cls, config, replacements, answer)
    except Stop as stop:
        _stopped(answer, stop)
    answer["loads"] = answer["error"] is None
    return answer


def _weights(
    request: dict[str, Any],
    state: State | None,
    cls: Any,
    config: Any,
    replacements: dict[str, str],
    answer: dict[str, Any],
) -> None:
    """Quantizer, files, build, bookkeeping: in the loader's order."""
    try:
        quantizer, config = quantizers.pick(config)
    except Exception as error:
        raise Stop("quantizer", error)
    if request.get("weights_error") or state is None:
        kind, message = request.get("weights_error") or ["OSError", "no weights were found"]
        answer["stage"] = "files"
        answer["error"] = {"type": kind, "message": message}
        return
    outcome = _outcome(request, state, cls, config, quantizer, answer)
    raised = outcome.error()
    if raised is not None:
        answer["stage"] = "weights"
        answer["error"] = raised
    _fill(answer, outcome, state)


def _outcome(
    request: dict[str, Any], state: State, cls: Any, config: Any, quantizer: Any, answer: dict[str, Any]
) -> direct.Outcome:
    """The live path, the audit, or both, as asked and as the environment allows."""
    live = direct.applies()
    can_audit = has("accelerate")
    if request.get("mode") == "audit" and can_audit:
        official = _guarded(audit.compare, cls, config, state)
        if live and quantizer is None:
            own = _guarded(direct.compare, cls, config, state)
            answer["disagreement"] = _differences(own, official)
            official.sources, official.renamed = own.sources, own.renamed
            official.tied, official.ties_unknown = own.tied, own.ties_unknown
            official.shapes = official.shapes or own.shapes
            if own.ties_unknown and any(target in own.mismatched for target, _ in own.ties_unknown):
                official.missing, official.unexpected = own.missing, own.unexpected
                answer["disagreement"] = []
        answer["path"] = "audit"
        return official
    if not live and not can_audit:
        raise Stop("build", RuntimeError("this transformers has no live path, and accelerate is not installed"))
    if not live:
        answer["path"] = "audit"
        return _guarded(audit.compare, cls, config, state)
    if request.get("mode") == "audit":
        answer["not_audited"] = "accelerate is not in this environment"
    return _guarded(direct.compare, cls, config, state, quantizer)


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
    if set(own.mismatched) != set(official.mismatched):
        out.append(f"mismatched: {sorted(set(own.mismatched) ^ set(official.mismatched))[:20]}")
    return out


def _fill(answer: dict[str, Any], outcome: direct.Outcome, state: State) -> None:
    """Sets and rows, sorted, since the loader's order is that of sets."""
    answer["missing"] = sorted(outcome.missing)
    answer["unexpected"] = sorted(outcome.unexpected)
    answer["mismatched"] = [
        {"key": key, "checkpoint": shapes[0], "model": shapes[1]} for key, shapes in sorted(outcome.mismatched.items())
    ]
    answer["conversion"] = {key: text[-2000:] for key, text in sorted(outcome.conversion.items())}
    good = [key for key in outcome.sources if key not in outcome.mismatched and key not in outcome.conversion]
    answer["matched"] = len(good)
    answer["renamed"] = outcome.renamed
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
