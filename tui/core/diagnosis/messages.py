"""From a traceback or log to the rule behind it: the loaders' own words, the misleading ones included."""

from __future__ import annotations

import re

MESSAGES: tuple[tuple[str, str], ...] = (
    # tensorflow
    (r"No module named 'pkg_resources'", "tfhub-pkg-resources"),
    (r"Unknown signature default|module 'tensorflow_hub' has no attribute 'Module'|'AutoTrackable' object is not callable|Exporting/importing meta graphs is not supported", "tfhub-v1-in-tf2"),
    (r"Signature name has to be specified for non-callable|either output_key or signature_outputs_as_dict=True|does not contain the output key|only valid if specifying a signature|Unknown signature ", "tfhub-keraslayer-signature"),
    (r"there are 0 MetaGraphs|Wire format was corrupt", "tensorflow-pb-damaged"),
    (r"requires a `tags=` argument|MetaGraphDef associated with tags", "tensorflow-tags"),
    (r"Op type not registered|NodeDef mentions attribute", "tensorflow-op-not-registered"),
    (r"min consumer version \d+ above current", "tensorflow-newer-writer"),
    (r"Attempt to convert a value \(\{|Can not cast TensorSpec\(shape=\(\), dtype=tf\.string", "tfhub-text-structure"),
    (r"Got:(?=[^\0]{0,2000}?dtype=string)[^\0]{0,4000}?Expected these arguments", "tfhub-text-input"),
    (r"Got:(?=[^\0]{0,2000}?'(attention_mask|segment_ids|token_type_ids|input_ids)')[^\0]{0,4000}?Expected these|missing a required argument: '", "tfhub-input-names"),
    (r"Got:(?=[^\0]{0,2000}?dtype=int64)[^\0]{0,4000}?Expected these|was expected to be a int32 tensor but is a int64", "tfhub-input-dtype"),
    (r"Could not find matching (concrete )?function to call|tuple indices must be integers or slices, not str", "tfhub-signature"),
    (r"Only instances of `keras\.Layer`|A KerasTensor is symbolic|expected a layer or operation, got a <class 'tensorflow_hub", "keras-hub-layer-not-instance"),
    (r"module 'tensorflow_hub' has no attribute 'KerasLayer'", "tfhub-no-keraslayer"),
    (r"File format not supported: filepath=|TFSMLayer\.call\(\)", "keras3-savedmodel"),
    (r"Failed to find any matching files for", "tensorflow-index-missing"),
    (r"Read less bytes than requested", "tensorflow-shard-truncated"),
    (r"\.data-\d{5}-of-\d{5}; No such file", "tensorflow-shard-missing"),
    (r"not an sstable", "tensorflow-index-damaged"),
    (r"block checksum mismatch|Checksum does not match", "tensorflow-checksum"),
    (r"assets/\S+; No such file", "tensorflow-asset-missing"),
    (r"were not bound to checkpointed values", "tensorflow-variables-mismatch"),
    (r"contains neither 'saved_model\.pb' nor|SavedModel file does not exist at", "tensorflow-checkpoint-no-model"),
    (r"Couldn't find 'checkpoint' file or checkpoints", "tensorflow-ckpt-prefix"),
    (r"Could not find callback with key=pyfunc_", "tensorflow-py-function"),
    (r"does not appear to be a valid module|urlopen error|TF_HUB|Could not resolve hostname", "tfhub-handle"),
    (r"deserialization of a `?Lambda`? layer", "keras-lambda-safe-mode"),
    (r"Unknown layer: '?KerasLayer|Error when deserializing class 'KerasLayer'", "keras-hub-h5"),
    (r"Unknown layer: |Could not locate class '|Cannot deserialize object of type", "keras-custom-class"),
    (r"Unrecognized keyword arguments|is not a KerasSaveable subclass|Could not locate function 'ms", "keras-version-skew"),
    (r"No model config found in the file", "keras-weights-only"),
    (r"Layer count mismatch when loading weights|weight file containing \d+ layers", "keras-layer-count"),
    (r"file signature not found", "hdf5-no-signature"),
    (r"ensure the file is an accessible `\.keras` zip", "keras-archive-damaged"),
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
