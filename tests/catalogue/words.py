"""Messages of loaders as people met them, and the rule that names their cause."""

from __future__ import annotations

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
    ("security-false-malicious", "Error verifying pickled file from x. The file may be malicious, so the program is not going to read it."),
]  # fmt: skip
