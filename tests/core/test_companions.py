"""Rules about versions and about what lies beside the weights: each fires on its case and is silent on a look-alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.checkpoints import raw_safetensors, write_config, write_safetensors
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


TOKENIZER = {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer"}, "vocab.txt": b"[PAD]\n[UNK]\na\n"}
PIECES = b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02" * 20


@pytest.mark.parametrize(
    ("rule", "built", "like"),
    [
        ("tokenizer-processor-missing", {"files": TOKENIZER, "vision_config": {}}, {"files": {**TOKENIZER, "preprocessor_config.json": {}}, "vision_config": {}}),
        ("tokenizer-spm-corrupt", {"files": {"tokenizer.model": b"version https://git-lfs.github.com/spec/v1\n" * 3}}, {"files": {"tokenizer.model": PIECES}}),
        ("tokenizer-class-remote", {"files": {"tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["tokenization_x.X", None]}}}}, {"files": {"tokenizer_config.json": {"auto_map": {"AutoModel": "modeling_x.X"}}}}),
        ("shard-silently-dropped", {"tensors": {**PLAIN, "model.layers.3.w": ("F32", (2, 2))}}, {"tensors": {**PLAIN, "model.layers.2.w": ("F32", (2, 2))}}),
        ("hub-incomplete", {"files": {"model-00002.safetensors.incomplete": b"x"}}, {"files": {"notes.txt": b"x"}}),
    ],
)  # fmt: skip
def test_what_lies_beside_the_weights(tmp_path: Path, rule: str, built: dict[str, Any], like: dict[str, Any]) -> None:
    assert rule in rules(place(tmp_path / "built", **built))
    assert rule not in rules(place(tmp_path / "like", **like))


def test_a_chat_model_without_a_template(tmp_path: Path) -> None:
    with_template = {**TOKENIZER, "tokenizer_config.json": {"chat_template": "{{ messages }}"}}
    assert "tokenizer-chat-template" in rules(place(tmp_path / "llama-instruct", files=TOKENIZER))
    assert "tokenizer-chat-template" not in rules(place(tmp_path / "qwen-chat", files=with_template))
    assert "tokenizer-chat-template" not in rules(place(tmp_path / "instructor", files=TOKENIZER))


def test_a_header_without_tensors(tmp_path: Path) -> None:
    write_config(tmp_path)
    raw_safetensors(tmp_path / "model.safetensors", b'{"__metadata__":{"format":"pt"}}')
    assert "safetensors-metadata-only" in rules(tmp_path)


VERSIONS = [
    ("environment-fp8-dtype-torch", {"tensors": {"w": ("F8_E4M3", (2, 2))}}, {"torch": "2.0.1"}, {"torch": "2.1.0"}),
    ("environment-saved-by-newer", {"transformers_version": "5.30.0"}, {"transformers": "5.23.0"}, {"transformers": "5.30.1"}),
    ("config-rope-scaling", {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, {"transformers": "4.40.0"}, {"transformers": "4.43.0"}),
    ("tokenizer-class-v5-backend", {"files": {"tokenizer_config.json": {"tokenizer_class": "TokenizersBackend"}}}, {"transformers": "4.57.3"}, {"transformers": "5.0.0"}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "built", "old", "new"), VERSIONS)
def test_versions_that_decide(
    tmp_path: Path, rule: str, built: dict[str, Any], old: dict[str, str], new: dict[str, str]
) -> None:
    root = place(tmp_path / "model", **built)
    assert rule in rules(root, old)
    assert rule not in rules(root, new)
    assert rule not in rules(root, {})


def test_pickled_weights_under_an_old_torch(samples: Path) -> None:
    pickled, safe = samples / "bert-ner-zip-bin", samples / "bert-ner"
    old = {"torch": "2.5.1", "transformers": "4.57.3"}
    evidence = Evidence(read_directory(pickled, str(pickled)), packages=old)
    assert "pickle-cve-torch-2.6" in {item.rule for item in diagnose(evidence)}
    assert verdict(evidence, diagnose(evidence))[0] == "fails"
    assert "security-weights-only-not-safe" in rules(pickled, {"torch": "2.9.0", "transformers": "4.57.3"})
    assert not rules(safe, old) & {"pickle-cve-torch-2.6", "security-weights-only-not-safe"}
    assert not rules(pickled, {"torch": "2.13.0"}) & {"pickle-cve-torch-2.6", "security-weights-only-not-safe"}


WORDS = [
    ("pickle-cve-torch-2.6", "ValueError: Due to a serious vulnerability issue in `torch.load`, even with `weights_only=True`, we now require users to upgrade torch to at least v2.6"),
    ("memory-cuda-oom", "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"),
    ("file-save-disk-full", "RuntimeError: [enforce fail at inline_container.cc:778] . unexpected pos 1152 vs 1046"),
    ("hub-no-space", "OSError: [Errno 28] No space left on device"),
    ("file-mmap-enodev", "OSError: No such device (os error 19)"),
    ("hub-consistency-check", "OSError: Consistency check failed: file should be of size 28754810880 but has size 26303841200"),
    ("hub-gated", "huggingface_hub.errors.GatedRepoError: 401 Client Error."),
    ("hub-offline", "OSError: We couldn't connect to 'https://huggingface.co' to load this file"),
    ("tokenizer-json-newer", "Exception: data did not match any variant of untagged enum ModelWrapper at line 1251019 column 3"),
    ("tokenizer-spm-corrupt", "RuntimeError: Internal: src/sentencepiece_processor.cc(1101) [model_proto->ParseFromArray(serialized.data(), serialized.size())]"),
    ("tokenizer-class-v5-backend", "ValueError: Tokenizer class TokenizersBackend does not exist or is not currently imported."),
    ("tokenizer-class-remote", "ValueError: Tokenizer class BaichuanTokenizer does not exist or is not currently imported."),
    ("tokenizer-chat-template", "ValueError: Cannot use apply_chat_template() because tokenizer.chat_template is not set and no template argument was passed!"),
    ("config-rope-scaling", "ValueError: `rope_scaling` must be a dictionary with two fields, `type` and `factor`, got {'factor': 8.0}"),
    ("pickle-posixpath", "NotImplementedError: cannot instantiate 'PosixPath' on your system"),
    ("pickle-torch-rebuild", "AttributeError: Can't get attribute '_rebuild_tensor_v2' on <module 'torch._utils' from 'x'>"),
    ("pickle-not-lightning", "KeyError: 'pytorch-lightning_version'"),
    ("class-flash-attn-abi", "ImportError: /x/flash_attn_2_cuda.cpython-311.so: undefined symbol: _ZNK3c105Error4whatEv"),
    ("class-vllm-misleading", "ValueError: Model architectures ['LlamaForCausalLM'] are not supported for now."),
    ("class-vllm-unsupported", "ValueError: Model architectures ['NewThingForCausalLM'] are not supported for now."),
    ("class-base-model-arch", "ValueError: Model architectures ['LlamaModel'] are not supported for now."),
    ("memory-meta-tensor", "NotImplementedError: Cannot copy out of meta tensor; no data!"),
    ("memory-vllm-kv", "ValueError: The model's max seq len (32768) is larger than the maximum number of tokens that can be stored in KV cache (7344)."),
    ("file-misleading-from-tf", "OSError: Unable to load weights from pytorch checkpoint file for 'x'. If you tried to load a PyTorch model from a TF 2.0 checkpoint, please set from_tf=True."),
    ("environment-trt-engine", "The engine plan file is not compatible with this version of TensorRT, expecting library version 8.2.3"),
    ("quantization-fp8-arch", "type fp8e4nv not supported in this architecture."),
    ("quantization-vllm-capability", "ValueError: The quantization method awq is not supported for the current GPU. Minimum capability: 75. Current capability: 70."),
    ("quantization-gptq-on-cpu", "ValueError: Found modules on cpu/disk. Using Exllama or Exllamav2 backend requires all the modules to be on GPU."),
    ("deepspeed-numel-mismatch", "ValueError: consumed 255381772 numels out of 255381776 - something is wrong"),
    ("gguf-convert-vocab", "Exception: Vocab size mismatch (model has 32256, but models/x has 32022)."),
    ("security-false-malicious", "Error verifying pickled file from x. The file may be malicious, so the program is not going to read it."),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "words"), WORDS)
def test_the_loaders_words_name_the_rule_first(rule: str, words: str) -> None:
    assert rules_in(f"Traceback (most recent call last):\n  …\n{words}\n")[0][0] == rule


def test_every_message_has_a_page_and_ordinary_text_has_no_rule() -> None:
    assert {rule for _, rule in MESSAGES} <= set(PAGES)
    assert rules_in("Loading checkpoint shards: 100%\nAll keys matched successfully\nDone in 3.2 s") == []
