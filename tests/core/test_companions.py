"""Rules about versions and about what lies beside the weights: each fires on its case and is silent on a look-alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.checkpoints import raw_safetensors, write_config, write_safetensors
from tests.catalogue.words import WORDS
from tui.core.assemble import read_directory
from tui.core.diagnosis.evidence import Evidence
from tui.core.diagnosis.messages import MESSAGES, rules_in
from tui.core.diagnosis.pages import PAGES
from tui.core.diagnosis.rules import diagnose, verdict

if TYPE_CHECKING:
    from pathlib import Path

Tensors = dict[str, tuple[str, tuple[int, ...]]]
PLAIN: Tensors = {"model.layers.0.w": ("F32", (2, 2)), "model.layers.1.w": ("F32", (2, 2))}


def place(root: Path, tensors: Tensors = PLAIN, files: dict[str, Any] | None = None, **config: Any) -> Path:
    root.mkdir(exist_ok=True)
    write_config(root, **config)
    write_safetensors(root / "model.safetensors", tensors)
    for name, content in (files or {}).items():
        if isinstance(content, bytes):
            (root / name).write_bytes(content)
        else:
            (root / name).write_text(json.dumps(content), "utf-8")
    return root


def rules(root: Path, packages: dict[str, str] | None = None) -> set[str]:
    evidence = Evidence(read_directory(root, str(root)), packages=packages)
    return {item.rule for item in diagnose(evidence)}


def test_a_header_without_tensors(tmp_path: Path) -> None:
    write_config(tmp_path)
    raw_safetensors(tmp_path / "model.safetensors", b'{"__metadata__":{"format":"pt"}}')
    assert "safetensors-metadata-only" in rules(tmp_path)


def test_eight_bits_under_an_old_torch(tmp_path: Path) -> None:
    root = place(tmp_path / "model", tensors={"w": ("F8_E4M3", (2, 2))})
    assert "environment-fp8-dtype-torch" in rules(root, {"torch": "2.0.1"})
    assert "environment-fp8-dtype-torch" not in rules(root, {"torch": "2.1.0"})
    assert "environment-fp8-dtype-torch" not in rules(root, {})


def test_pickled_weights_under_an_old_torch(samples: Path) -> None:
    pickled, safe = samples / "bert-ner-zip-bin", samples / "bert-ner"
    old = {"torch": "2.5.1", "transformers": "4.57.3"}
    evidence = Evidence(read_directory(pickled, str(pickled)), packages=old)
    assert "pickle-cve-torch-2.6" in {item.rule for item in diagnose(evidence)}
    assert verdict(evidence, diagnose(evidence))[0] == "fails"
    assert "security-weights-only-not-safe" in rules(pickled, {"torch": "2.9.0", "transformers": "4.57.3"})
    assert not rules(safe, old) & {"pickle-cve-torch-2.6", "security-weights-only-not-safe"}
    assert not rules(pickled, {"torch": "2.13.0"}) & {"pickle-cve-torch-2.6", "security-weights-only-not-safe"}


@pytest.mark.parametrize(("rule", "words"), WORDS)
def test_the_loaders_words_name_the_rule_first(rule: str, words: str) -> None:
    assert rules_in(f"Traceback (most recent call last):\n  …\n{words}\n")[0][0] == rule


def test_every_message_has_a_page_and_ordinary_text_has_no_rule() -> None:
    assert {rule for _, rule in MESSAGES} <= set(PAGES)
    assert rules_in("Loading checkpoint shards: 100%\nAll keys matched successfully\nDone in 3.2 s") == []
