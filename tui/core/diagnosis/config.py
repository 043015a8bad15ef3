"""config.json: absent, unknown, refused, or not what the user counts on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.diagnosis.make import edit_json, finding
from tui.core.text import listing, printable, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.diagnosis.evidence import Evidence, Finding


_STOPS = ("class", "config", "quantizer", "build")
"""Where the loader stops before it looks at tensors."""


def _broken(checkpoint: Checkpoint) -> bool:
    return checkpoint.config is not None and checkpoint.config.problem is not None


def missing_config(evidence: Evidence) -> Iterator[Finding]:
    """Weights under the loader's names and no config.json."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind != "transformers" or "config.json" in checkpoint.names:
        return
    stem = _family(checkpoint)
    lines = ["there is no config.json", *_loader_says(evidence)]
    drafts = evidence.comparison.drafts if evidence.comparison is not None else ()
    if drafts:
        lines.append(f"recovered from the weights: {printable(drafts[0].words(), 300)}")
    elif stem:
        lines.append(f"the tensor names are those of {stem}")
    yield finding("config-missing-config", lines, fix=_config_fixes(checkpoint, bool(drafts)))


def _config_fixes(checkpoint: Checkpoint, recovered: bool) -> tuple[str, ...]:
    """Write the recovered config where there is one; else, or where its guesses are not good enough, fetch the real."""
    fetch = f"hf download BASE_MODEL config.json --local-dir {shell(str(checkpoint.root))}"
    if not recovered:
        return (fetch,)
    target = str(checkpoint.root / "config.json")
    return (shell("ckptriage", "compare", checkpoint.path, "--save-config", target), fetch)


def _family(checkpoint: Checkpoint) -> str:
    """The prefix that most tensor names share, where it names a family."""
    stems: dict[str, int] = {}
    for tensor in checkpoint.tensors:
        stem = tensor.name.partition(".")[0]
        stems[stem] = stems.get(stem, 0) + 1
    best = max(stems, key=lambda stem: stems[stem], default="")
    return printable(best) if best and stems[best] * 2 > len(checkpoint.tensors) and best.isalpha() else ""


def _loader_says(evidence: Evidence) -> list[str]:
    comparison = evidence.comparison
    if comparison is None or comparison.error is None or comparison.source == "files":
        return []
    return [f"the loader says: {comparison.error[0]}: {printable(comparison.error[1], 300)}"]


def no_model_type(evidence: Evidence) -> Iterator[Finding]:
    """A config that an Auto class cannot place."""
    checkpoint = evidence.checkpoint
    config = checkpoint.settings
    if checkpoint.kind != "transformers" or not config or _broken(checkpoint) or config.get("model_type"):
        return
    if "pretrained_cfg" in config:  # timm's: transformers 5.23 places it by that (`is_timm_config_dict`)
        return
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
    lines = [
        "config.json has no model_type",
        f"AutoModel raises ValueError: Unrecognized model in {printable(checkpoint.path)}. Should have a `model_type` "
        "key in its config.json.",
    ]
    guess, also = _guess_type(first), ""
    fix: tuple[str, ...] = ()
    if guess:
        lines.append(f"architectures names {printable(first)}, which still loads by that class")
    elif evidence.comparison is not None and evidence.comparison.drafts:
        draft = evidence.comparison.drafts[0]
        guess = draft.model_type
        also = f"; c['architectures'] = [{draft.model_class!r}]"
        lines.append(f"the weights are those of {printable(draft.words(), 300)}")
    if guess:
        fix = (edit_json(checkpoint, f"c['model_type'] = {guess!r}{also}"),)
    loads = evidence.comparison is not None and evidence.comparison.loads is True
    severity = "warning" if loads or first else "error"
    yield finding("config-no-model-type", lines, file="config.json", severity=severity, fix=fix)


def _guess_type(name: str) -> str:
    """`BertForTokenClassification` → `bert`."""
    for part in ("For", "Model", "LMHead"):
        head, separator, _ = name.partition(part)
        if separator and head:
            return head.lower()
    return ""


def loader_stops(evidence: Evidence) -> Iterator[Finding]:
    """The loader raises before it looks at tensors: class, config, quantizer or build."""
    comparison = evidence.comparison
    checkpoint = evidence.checkpoint
    if comparison is None or comparison.error is None or comparison.source == "files":
        return
    if comparison.stage not in (*_STOPS, "not tried") or _broken(checkpoint):
        return
    placed = "config.json" in checkpoint.names and bool(checkpoint.settings.get("model_type"))
    if not placed and comparison.error[1].startswith("Unrecognized model in"):
        return
    kind, message = comparison.error
    rule, title, fix = _name_stop(evidence, comparison.stage, kind, message)
    yield finding(
        rule,
        [_said(kind, message), *_about(evidence)],
        title=title,
        file="config.json" if comparison.stage != "class" else None,
        fix=fix,
    )


def _said(kind: str, message: str) -> str:
    """The loader's words, or ours where it was not let try."""
    return printable(message, 600) if kind == "NotTried" else f"the loader says: {kind}: {printable(message, 600)}"


def _about(evidence: Evidence) -> list[str]:
    """What else bears on it: versions and remote code."""
    config = evidence.checkpoint.settings
    lines = []
    saved = config.get("transformers_version")
    here = (evidence.packages or {}).get("transformers")
    if isinstance(saved, str) and here:
        lines.append(f"saved by transformers {printable(saved)}, installed is {here}")
    automatic = config.get("auto_map")
    if isinstance(automatic, dict):
        lines.append(f"auto_map names code of its own: {listing([str(value) for value in automatic.values()])}")
    return lines


def _name_stop(evidence: Evidence, stage: str, kind: str, message: str) -> tuple[str, str, tuple[str, ...]]:
    """Rule, title and fix for an exception before the tensors."""
    config = evidence.checkpoint.settings
    model_type = printable(str(config.get("model_type")))
    if "does not recognize this architecture" in message:
        saved = config.get("transformers_version")
        wanted = f"transformers>={saved}" if isinstance(saved, str) and saved[:1].isdigit() else "transformers"
        return (
            "config-unknown-model-type",
            f"transformers does not know model type {model_type!r}",
            (f"pip install -U {shell(wanted)}",),
        )
    if "custom code" in message or "trust_remote_code" in message:
        return "class-trust-remote-code", "", ()
    if message.startswith("Unrecognized configuration class"):
        return (
            "class-auto-class-mismatch",
            f"There is no such class for model type {model_type!r}",
            _architecture(config),
        )
    if stage == "class":
        return "class-not-found", "", _architecture(config)
    if stage == "quantizer":
        return "quantization-needs-package", "", _install(message)
    if kind == "NotTried":
        field = message.partition(" is ")[0]
        fix = f"Set {printable(field, 80)} to the model's real number; an edit in Config shows what it leads to."
        return "config-invalid", f"{printable(message.partition(':')[0], 120)}, more than any model has", (fix,)
    if kind in ("ImportError", "ModuleNotFoundError"):
        return "environment-needs-package", "", _install(message)
    return "config-invalid", f"The config is refused: {kind}", ()


def _architecture(config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("architectures")
    return (f"use {names[0]}",) if isinstance(names, list) and names and isinstance(names[0], str) else ()


def _install(message: str) -> tuple[str, ...]:
    """The `pip install` line that the message itself holds."""
    start = message.find("pip install")
    if start < 0:
        return ()
    line = message[start:].split("\n")[0]
    return (printable(line.split("`")[0].strip().rstrip(".)")),)


def unknown_keys(evidence: Evidence) -> Iterator[Finding]:
    """Keys that the class ignores: a slip of a field's name, or one field named twice with two values."""
    comparison = evidence.comparison
    if comparison is None:
        return
    for name, close in comparison.unknown_fields:
        if close:
            yield finding(
                "config-unknown-key",
                [f"{printable(name)} is no field of {comparison.config_class or 'the class'}; {close} is"],
                title=f"{printable(name)} in config.json is ignored: the field is called {close}",
                file="config.json",
                fix=(edit_json(evidence.checkpoint, f"c[{close!r}] = c.pop({name!r})"),),
            )
    for one, held, other, value, used in comparison.contradictions:
        yield finding(
            "config-field-twice",
            [
                f"{printable(one)} {printable(str(held), 60)}, {printable(other)} {printable(str(value), 60)}",
                f"the class takes {printable(str(used), 60)}",
            ],
            title=f"config.json names one field twice: {printable(one)} and {printable(other)}",
            file="config.json",
        )


def unexpected_values(evidence: Evidence) -> Iterator[Finding]:
    """Values that the user counts on."""
    config = evidence.checkpoint.settings
    for key, wanted in evidence.expected.items():
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if key == "num_labels" and value is None and isinstance(config.get("id2label"), dict):
            value = len(config["id2label"])
        if value != wanted:
            yield finding(
                "config-unexpected-value",
                [f"{printable(key)}: config has {printable(str(value))}, expected {printable(str(wanted))}"],
                title=f"{printable(key)} is {printable(str(value))}, you count on {printable(str(wanted))}",
                file="config.json",
            )
