"""From a traceback or log to the rule behind it: the loaders' own words, the misleading ones included."""

from __future__ import annotations

import re

MESSAGES: tuple[tuple[str, str], ...] = (
    (r"set from_tf=True", "file-misleading-from-tf"),
    (r"CVE-2025-32434|serious vulnerability issue in `torch\.load`", "pickle-cve-torch-2.6"),
    (r"CUDA out of memory|CUDA error: out of memory|OutOfMemoryError", "memory-cuda-oom"),
    (r"unexpected pos \d+ vs \d+|PytorchStreamWriter failed writing|file write failed", "file-save-disk-full"),
    (r"No space left on device|Not enough free disk space", "hub-no-space"),
    (r"No such device \(os error 19\)", "file-mmap-enodev"),
    (r"Consistency check failed: file should be of size", "hub-consistency-check"),
    (r"SHA256 checksum does not( not)? match|hash mismatch", "file-sha256-mismatch"),
    (r"GatedRepoError|Access to model .* is restricted|Cannot access gated repo", "hub-gated"),
    (r"couldn't connect to 'https://huggingface\.co'|OfflineModeIsEnabled|LocalEntryNotFoundError", "hub-offline"),
    (r"FileExistsError: .*(snapshots|blobs|\.lock)", "hub-lock-race"),
    (r"did not match any variant of untagged enum (ModelWrapper|Py\w+)", "tokenizer-json-newer"),
    (r"sentencepiece_processor\.cc\(\d+\).*ParseFromArray", "tokenizer-spm-corrupt"),
    (r"does not appear to have a file named preprocessor_config\.json", "tokenizer-processor-missing"),
    (r"Tokenizer class TokenizersBackend does not exist", "tokenizer-class-v5-backend"),
    (r"Tokenizer class \w+ does not exist or is not currently imported", "tokenizer-class-remote"),
    (r"tokenizer\.chat_template is not set", "tokenizer-chat-template"),
    (r"unhashable type: 'dict'", "tokenizer-config-unhashable"),
    (r"`rope_scaling` must be a dictionary with two fields", "config-rope-scaling"),
    (r"'NoneType' object has no attribute 'get'|does not contain the valid metadata", "safetensors-metadata-none"),
    (r"module 'torch' has no attribute 'float8_", "environment-fp8-dtype-torch"),
    (r"fp8e4nv.*not supported|CUDA arch < 89", "quantization-fp8-arch"),
    (r"not supported for the current GPU\. Minimum capability", "quantization-vllm-capability"),
    (r"Exllama backend requires all the modules to be on GPU", "quantization-gptq-on-cpu"),
    (r"Torch not compiled with CUDA enabled|no NVIDIA driver on your system", "environment-cpu-only-wheel"),
    (r"engine plan file is not compatible with this version of TensorRT", "environment-trt-engine"),
    (r"did you mean to use torch\.jit\.load|kMaxSupportedFileFormatVersion", "pickle-zip-old-torch"),
    (r"cannot instantiate '(Posix|Windows)Path'", "pickle-posixpath"),
    (r"Can't get attribute '_rebuild_\w+' on <module 'torch\._utils'", "pickle-torch-rebuild"),
    (r"KeyError: '(pytorch|lightning)-?_?lightning_version'|KeyError: 'pytorch-lightning_version'", "pickle-not-lightning"),
    (r"file signature not found", "hdf5-no-signature"),
    (r"The file may be malicious, so the program is not going to read it", "security-false-malicious"),
    (r"flash_attn\S*\.so: undefined symbol", "class-flash-attn-abi"),
    (r"requires the following packages that were not found in your environment", "class-remote-import-missing"),
    (r"parametrizations\.weight\.original[01]", "class-weight-norm"),
    (r"No sentence-transformers model found with name", "class-st-no-modules"),
    (r"Error no file named model_index\.json", "class-diffusers-layout"),
    (r"Could not detect model type of", "class-unet-only"),
    (r"\['\w+Model'\] are not supported", "class-base-model-arch"),
    (r"Model architectures \['(Llama|Mistral|Qwen\d?|Gemma\d?|GPT2LMHead|Mixtral)\w*'\] are not supported", "class-vllm-misleading"),
    (r"Model architectures \[.*\] are not supported", "class-vllm-unsupported"),
    (r"size=\(\d+, 9, 3, 3\)|\[\d+, 9, 3, 3\]", "class-inpaint-channels"),
    (r"Cannot copy out of meta tensor", "memory-meta-tensor"),
    (r"larger than the maximum number of tokens that can be stored in KV cache", "memory-vllm-kv"),
    (r"KeyError: 'lm_head\.weight'", "config-lm-head-extra-when-tied"),
    (r"Loading a checkpoint for MP=\d+ but world size is \d+", "shard-mp-world-size"),
    (r"consumed \d+ numels out of \d+ - something is wrong", "deepspeed-numel-mismatch"),
    (r"incomplete metadata, file not fully covered|MetadataIncompleteBuffer", "safetensors-truncated"),
    (r"invalid header length|InvalidHeaderLength|header too small|HeaderTooSmall", "safetensors-truncated"),
    (r"header too large|HeaderTooLarge", "lfs-pointer-safetensors"),
    (r"invalid JSON in header|InvalidHeaderDeserialization|invalid UTF-8 in header", "safetensors-invalid-header"),
    (r"failed finding central directory", "zip-no-central-dir"),
    (r"PytorchStreamReader failed (reading file|reading zip archive: invalid header)", "zip-record-corrupt"),
    (r"invalid load key, 'v'|Unsupported operand 118", "lfs-pointer-pickle"),
    (r"invalid load key, '<'|Unsupported operand 60", "html-weights"),
    (r"EOFError: Ran out of input|EOFError\s*$", "file-empty-file"),
    (r"weight files? (referenced|missing)|No such file or directory: '?[^']*-\d{5}-of-\d{5}", "shard-missing-file"),
    (r"Error no file named .*found in directory", "shard-no-weights"),
    (r"does not recognize this architecture", "config-unknown-model-type"),
    (r"Should have a `model_type` key in its config\.json", "config-no-model-type"),
    (r"does not appear to have a file named config\.json", "config-missing-config"),
    (r"It looks like the config file at .* is not a valid JSON", "json-invalid"),
    (r"Unrecognized configuration class", "class-auto-class-mismatch"),
    (r"contains custom code which must be executed|trust_remote_code=True", "class-trust-remote-code"),
    (r"Can't get attribute '\w+' on <module '__main__'", "pickle-main-attr"),
    (r"GLOBAL __main__\.\w+ was not an allowed global", "pickle-main-attr"),
    (r"No module named '(transformers\.(modeling|configuration|tokenization)_|pytorch_transformers)", "pickle-library-refactor"),
    (r"was not an allowed global by default", "pickle-weights-only"),
    (r"Can't get attribute '\w+' on <module", "pickle-attr-version"),
    (r"whose module \S+ is blocked", "security-pickle-globals"),
    (r"TorchScript archives passed to", "pickle-torchscript-mixup"),
    (r"deserialize object on a CUDA device|Attempting to deserialize object on CUDA", "pickle-cuda-device"),
    (r"(Missing|Unexpected) key\(s\) in state_dict: \"module\.", "key-module-prefix"),
    (r"_orig_mod\.", "key-orig-mod-prefix"),
    (r"KeyError: 'state_dict'", "key-nested-container"),
    (r"size mismatch for [\w.]*(classifier|score|qa_outputs)\.", "shape-num-labels"),
    (r"size mismatch for [\w.]*(embed_tokens|word_embeddings|wte|lm_head)\.", "shape-vocab-resize"),
    (r"ignore_mismatched_sizes` to `False`|size mismatch for ", "shape-config-mismatch"),
    (r"issues during automatic conversion of the weights", "shape-conversion-error"),
    (r"index out of range in self|device-side assert triggered", "tokenizer-len-gt-embed"),
    (r"newly initialized", "class-head-newly-init"),
    (r"\bMISSING\b[\s\S]*\bUNEXPECTED\b|\bUNEXPECTED\b[\s\S]*\bMISSING\b", "class-finetuned-loads-random"),
    (r"unable to mmap \d+ bytes|Cannot allocate memory", "memory-mmap-refused"),
    (r"^Killed\b|exit(ed with)? (code|status) 137|SIGKILL|oom[-_ ]kill", "memory-host-oom-killed"),
    (r"requires? (accelerate|bitsandbytes|optimum|gptqmodel|compressed-tensors)", "quantization-needs-package"),
    (r"requires the following packages that were not found|No module named '(timm|PIL|scipy|einops|sentencepiece)'", "environment-needs-package"),
    (r"ModuleNotFoundError: No module named", "pickle-module-missing"),
    (r"truncated file: eof = ", "hdf5-truncated"),
    (r"Permission denied", "hub-permission"),
)  # fmt: skip
"""(pattern, rule), the more telling first."""


def rules_in(text: str) -> list[tuple[str, str]]:
    """(rule, the words that show it) for each message found in `text`, at most its last 256 KiB."""
    text = text[-(256 << 10) :]
    found: dict[str, str] = {}
    for pattern, rule in MESSAGES:
        match = re.search(pattern, text, re.MULTILINE)
        if match is not None and rule not in found:
            start = text.rfind("\n", 0, match.start()) + 1
            end = text.find("\n", match.end())
            found[rule] = text[start : end if end >= 0 else len(text)].strip()[:400]
    return list(found.items())
