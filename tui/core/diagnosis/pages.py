"""One page per rule: what it is, why it happens, what mends it. Findings take their words from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """What `ckptriage explain RULE` prints."""

    rule: str
    severity: str
    """The severity that the rule usually has."""

    title: str
    cause: str
    fix: str


def _pages(*rows: tuple[str, str, str, str, str]) -> dict[str, Page]:
    return {row[0]: Page(*row) for row in rows}


PAGES: dict[str, Page] = _pages(
    # files
    ("safetensors-truncated", "error", "The file is cut short", "A download, copy or save stopped early: the file ends before the last tensor that its header names.", "Fetch this one file again; if it was being saved, use the checkpoint before."),
    ("safetensors-trailing-bytes", "error", "Bytes follow the last tensor", "Something was appended, or the header belongs to a smaller file. The library refuses a file that its header does not cover.", "Fetch the file again, or save it again from the program that wrote it."),
    ("safetensors-invalid-header", "error", "The safetensors header is damaged", "The header is no valid JSON, or names tensors that overlap, leave gaps or do not fit their shapes: a partial or zero-filled download, a save that was killed, or a writer newer than the library.", "Fetch the file again; if only a dtype is unknown, upgrade safetensors."),
    ("safetensors-header-over-100mb", "error", "The header is larger than the library accepts", "safetensors refuses headers above 100,000,000 bytes.", "Save the model again in several shards: model.save_pretrained(out, max_shard_size='5GB')."),
    ("safetensors-path-not-utf8", "error", "The path is not valid UTF-8", "safetensors refuses a path that is not valid UTF-8, whatever the file holds.", "Rename the file or its directory."),
    ("safetensors-nul-padding", "error", "The header is padded with NUL bytes", "The writer filled the header with zeros; the format wants spaces, and the JSON parser stops at the first zero.", "Rewrite the padding bytes to spaces (0x20) in a copy; sizes and offsets stay the same."),
    ("lfs-pointer-safetensors", "error", "A git-lfs pointer lies where the weights should be", "The repository was cloned without git-lfs, or its quota was spent: the file is a small text that names the real one.", "git lfs install && git lfs pull, or fetch the file with hf download."),
    ("lfs-pointer-pickle", "error", "A git-lfs pointer lies where the weights should be", "The repository was cloned without git-lfs, or its quota was spent: the file is a small text that names the real one.", "git lfs install && git lfs pull, or fetch the file with hf download."),
    ("lfs-pointer-json", "error", "A JSON file is a git-lfs pointer", "The file is tracked by git-lfs and was never fetched.", "git lfs pull --include='*.json'."),
    ("html-weights", "error", "The file is a web page", "A login, quota or error page was saved under the weights' name (a /blob/ link instead of /resolve/, a captive portal).", "Fetch it again through hf download, or the /resolve/ link."),
    ("html-json", "error", "A JSON file is a web page", "A login or error page was saved under its name.", "Fetch it again through hf download, or the /resolve/ link."),
    ("file-empty-file", "error", "The file is empty", "A download or save failed and left a file of 0 bytes; loaders do not fetch again what exists.", "Delete it and fetch it again, or use the checkpoint before."),
    ("file-zero-filled", "error", "The file begins with zeros", "Space was reserved and nothing was written: a crashed save, a full disk, or a download that never started.", "Delete it and fetch or save it again."),
    ("file-not-a-checkpoint", "error", "The file is no checkpoint", "Its first bytes are those of no weight format, whatever its name says.", "Check where the file came from; fetch it again."),
    ("file-ckpt-opened-as-safetensors", "error", "The file is of another format than its name says", "The loader chooses by name: a pickle or zip called .safetensors is refused, and so is the reverse.", "Rename it to its true format, or convert it."),
    ("file-truncated", "error", "The file is cut short", "It ends before something that it announces.", "Fetch the file again."),
    ("file-changed", "warning", "The file changed while it was read", "Something is still writing it: a download or a save in progress.", "Wait until it rests, then look again."),
    ("file-not-regular", "error", "This is no regular file", "A FIFO, device, socket or directory lies under a weight's name.", "Replace it by the file it should be."),
    ("file-unreadable", "error", "The file cannot be opened", "The system refuses, or the name is not usable.", "Check the path and its permissions."),
    ("file-too-large", "warning", "The file is larger than is read whole", "Files beside the weights are read up to 64 MiB.", "Check what the file is."),
    ("file-link-loop", "error", "A link leads back to itself", "A symbolic link points at itself, directly or through others.", "Remove the link and put the file in its place."),
    ("file-incomplete-ckpt-dir", "warning", "The checkpoint directory is incomplete", "A save was interrupted: files that are written last are absent.", "Resume from the checkpoint before, and remove this one."),
    ("directory-unreadable", "error", "The directory cannot be listed", "This user may not read it, or it disappeared.", "Check its permissions: chmod u+rx."),
    ("directory-empty", "warning", "Nothing to load here", "The directory holds no file that is a checkpoint.", "Point at the directory that holds the weights."),
    ("zip-no-central-dir", "error", "The torch archive is cut off", "A torch zip keeps its directory at the end; without it nothing can be found. The download or save stopped early.", "Fetch the file again; after a crash use the checkpoint before."),
    ("zip-record-corrupt", "error", "The torch archive is damaged", "A record is absent, cut off, or of the wrong size.", "Fetch the file again and compare its sha256."),
    ("torch-tensor-outside-storage", "error", "A tensor reaches beyond its storage", "The pickle describes a view that its bytes do not hold: damaged, or made to read memory that is not its own.", "Do not load it; fetch it again from its source."),
    ("zip-duplicate-member", "error", "Two members of the archive share a name", "Readers disagree about which of them counts: a way to hide content.", "Do not load it; ask for a safetensors file."),
    ("zip-not-a-checkpoint", "error", "A zip, but no torch archive", "It holds no data.pkl: an archive of something else, or a checkpoint that was zipped again.", "Unpack it and look inside."),
    ("torch-legacy-truncated", "error", "The torch file is cut short", "A file in torch's format before 1.6 ends before its last storage.", "Fetch the file again."),
    ("pickle-broken", "error", "The pickle is damaged", "The stream breaks before its end: cut off, or no pickle at all.", "Fetch the file again."),
    ("hdf5-truncated", "error", "The HDF5 file is cut short", "It ends before the address that its superblock gives.", "Fetch the file again."),
    ("json-invalid", "error", "A JSON file is not valid", "It was edited by hand, cut short, or holds conflict markers.", "Mend the place named, or fetch the file again."),
    # shards, hub
    ("shard-missing-file", "error", "A shard is missing", "The index names a file that is not here: an interrupted download or copy, or a clean-up.", "Fetch the missing shard."),
    ("shard-no-weights", "error", "No weights under a name that the loader looks for", "from_pretrained looks for model.safetensors, its index, pytorch_model.bin, its index, and for nothing else.", "Fetch the weights, rename them, or point at the directory that holds them."),
    ("shard-index-invalid", "error", "The shard index cannot be used", "The index is damaged or lacks a part that the loader reads.", "Fetch the index again, or save the model again."),
    ("shard-index-stale", "warning", "The index does not match the shards", "It names tensors that the shards do not hold, or in another shard. The loader reads every shard whole and says nothing.", "Rebuild the index, or save the model again."),
    ("shard-name-escapes", "error", "The index names files outside its directory", "A path in a shard index must be a plain file name; anything else reaches where it should not.", "Do not load it; fetch the index from its source."),
    ("hub-dangling-symlink", "error", "A link leads nowhere", "A snapshot of the hub cache links to a blob that is gone: a partial download, a clean-up, or a copy without the blobs.", "Fetch the file again, or copy with links resolved: cp -aL."),
    ("hub-permission", "error", "This user may not read the file", "The file belongs to somebody else, or its mode forbids reading.", "chmod u+r, or ask its owner."),
    # config
    ("config-missing-config", "error", "There is no config.json", "Only weights were copied, or this is a part of a training run. AutoModel cannot tell what model it is; a concrete class would silently take its defaults.", "Put the config.json of the base model beside the weights, or let `ckptriage compare` say which class fits."),
    ("config-no-model-type", "warning", "config.json names no model_type", "Auto classes choose by model_type and raise ValueError without it; the concrete class still loads.", "Add the line \"model_type\" to config.json."),
    ("config-unknown-model-type", "error", "This transformers does not know the model type", "The installed release is older than the architecture, or the model needs code of its own.", "Upgrade transformers, or load it with the code it comes with."),
    ("config-unknown-key", "warning", "A key of config.json is ignored", "The class has no such field and keeps it in silence; it looks like a slip of the name of one that has its default now.", "Correct the key's name in config.json."),
    ("config-field-twice", "warning", "config.json names one field twice", "Many configs have a second name for a field (`attribute_map`); where both are in the file and differ, one is ignored in silence, and which one differs by class.", "Remove one of the two keys."),
    ("config-invalid", "error", "The config is refused", "A value has a type or size that the config class or the model does not accept.", "Correct the field that is named."),
    ("config-unexpected-value", "error", "A config value is not the one you count on", "You asked with --expect.", "Use the checkpoint with that value, or correct the config."),
    ("config-tie-word-embeddings", "warning", "The output layer is neither stored nor tied", "The file has no lm_head and the config does not tie it to the embeddings, so that it is random.", "Set \"tie_word_embeddings\": true in config.json."),
    ("class-trust-remote-code", "error", "The model brings code of its own", "auto_map names Python files that would run; transformers does not run them unasked.", "Read the files, then pass trust_remote_code=True."),
    ("class-auto-class-mismatch", "error", "This class does not exist for this model type", "An Auto class has no entry for the config's model_type.", "Use the class that the config names in `architectures`."),
    ("class-not-found", "error", "transformers has no such class", "The name is misspelt, or from another release.", "Use one of the classes that fit, as `ckptriage compare` lists them."),
    ("class-finetuned-loads-random", "error", "Most of the model would be random", "The names in the file are not those of the model, so that its parameters are newly initialised; the loader raises no exception.", "Load it with the class that it was saved from."),
    ("class-head-newly-init", "warning", "A part of the model is not in the file", "The parameters named are newly initialised: expected before fine-tuning, fatal for use.", "Load the class named in `architectures`, or the fine-tuned checkpoint."),
    ("class-unused-weights", "warning", "A part of the file is not used", "The class has no place for these tensors; they are dropped without an exception.", "Load the class named in `architectures`."),
    ("class-pooler-benign", "info", "A pooler is left out", "Models saved from another head come with or without a pooler; token and language model heads do not use it.", "Nothing to do."),
    ("quantization-needs-package", "error", "The quantization needs a package", "config.json asks for a quantized load that this environment cannot make.", "Install what the message names, or use weights that are not quantized."),
    ("environment-needs-package", "error", "The model needs a package that is not installed", "The class cannot be built in this environment.", "Install the package that is named."),
    # shapes
    ("shape-num-labels", "error", "The number of labels differs", "id2label or num_labels in config.json is not what the head was trained with.", "Set the labels to what the weights have, or pass ignore_mismatched_sizes=True to train the head anew."),
    ("shape-vocab-resize", "error", "The vocabulary size differs", "Embeddings were resized without the config, or the config is another model's.", "Set vocab_size to the rows of the embedding."),
    ("shape-config-mismatch", "error", "The config disagrees with the weights", "A size in config.json is not that of the tensors.", "Set the field to what the weights have."),
    ("config-gqa-kv-heads", "error", "Key and value heads do not fit", "num_key_value_heads or head_dim is not what k_proj and v_proj were made with.", "Correct the field, or upgrade transformers."),
    ("shape-zero3-empty", "error", "Tensors are empty", "A DeepSpeed ZeRO-3 run saved placeholders instead of the gathered weights.", "Run zero_to_fp32.py, or save with stage3_gather_16bit_weights_on_model_save."),
    ("shape-conversion-error", "error", "Tensors cannot be converted to the model's form", "The loader fuses or splits tensors; here one of a group is absent or of another shape.", "Fetch the shard that holds the tensor, or save the model again."),
    # keys
    ("key-module-prefix", "error", "Every name begins with `module.`", "The state dict was saved from a DataParallel wrapper. The loader does not strip the prefix: the model stays random.", "Strip the prefix once and save again."),
    ("key-orig-mod-prefix", "error", "Every name begins with `_orig_mod.`", "The state dict was saved from a compiled model. The loader does not strip the prefix.", "Strip the prefix once and save again."),
    ("key-nested-prefix-silent", "error", "Names carry a wrapper's prefix", "The state dict was saved from a wrapper whose prefix the loader does not strip.", "Strip the prefix once and save again."),
    ("key-lightning-prefix", "error", "A Lightning checkpoint, not a model's", "Its weights are under `state_dict`, each name behind the attribute that held the model.", "Strip the attribute's name and save with save_pretrained."),
    ("key-nested-container", "error", "The weights are one level down", "The file is a training checkpoint: the state dict lies under one of its keys, and the loader does not look there.", "Save that part alone."),
    ("moe-expert-gap", "warning", "Experts are not numbered in a row", "The loader renumbers them without a word, so that the router points at the wrong ones.", "Fetch the missing tensors."),
    # tokenizer
    ("tokenizer-files-missing", "warning", "The tokenizer's vocabulary is missing", "Tokenizer files are here, the vocabulary is not. AutoTokenizer says nothing and returns a tokenizer of a few special tokens.", "Copy the vocabulary from the base model, or tokenizer.save_pretrained(dir) again."),
    ("tokenizer-absent", "info", "No tokenizer beside the model", "The model was saved alone.", "Load the tokenizer from the base model, or save it here too."),
    ("tokenizer-len-gt-embed", "error", "The tokenizer is larger than the embedding", "Ids at the end have no row: `IndexError: index out of range in self`, or a device-side assert, at the first text that uses one.", "Use the model's own tokenizer, or model.resize_token_embeddings(len(tokenizer)) and train the new rows."),
    ("tokenizer-case-mismatch", "warning", "The tokenizer keeps case, the vocabulary has none", "do_lower_case is off and no word of the vocabulary has a capital: every capitalised word becomes [UNK].", "Set \"do_lower_case\": true in tokenizer_config.json and save the tokenizer again."),
    ("tokenizer-vocab-padded-benign", "info", "The embedding is padded", "It has a few more rows than the tokenizer has tokens, a multiple of 8, 64 or 128: for speed.", "Nothing to do."),
    ("tokenizer-smaller", "info", "The tokenizer is smaller than the embedding", "Rows at the end are never used; usual after padding, suspicious where it is many.", "Check that it is the model's own tokenizer."),
    ("tokenizer-special-ids", "warning", "A special id lies outside the vocabulary", "The config names an id that the embedding or the tokenizer does not have.", "Correct the id in config.json."),
    ("tokenizer-class-mismatch", "warning", "The tokenizer is of another family", "tokenizer_class names a family that does not go with the model type.", "Use the tokenizer of the base model."),
    ("tokenizer-raises", "warning", "The tokenizer cannot be loaded", "AutoTokenizer raises on the files that are here; the model itself is not concerned.", "Fetch the tokenizer files again, or load the tokenizer from the base model."),
    ("tokenizer-class-needs-sentencepiece", "warning", "The tokenizer needs a package", "Its vocabulary is a sentencepiece or tiktoken file, and the package that reads it is not installed.", "pip install sentencepiece tiktoken protobuf."),
    ("tokenizer-json-invalid", "error", "A tokenizer file is not valid JSON", "It was cut short or edited by hand; loading the tokenizer raises JSONDecodeError.", "Fetch the file again."),
    # pickles
    ("pickle-main-attr", "error", "The class was defined in the script that saved it", "The pickle names `__main__.X`: whoever loads it must define X in its own main script.", "Define or import the class before loading, then save model.state_dict() instead of the model."),
    ("pickle-module-missing", "error", "The pickle needs a module that is not here", "A pickled object keeps the import path of its class; the module has moved or is not installed.", "Run from the repository that holds the module, or install its package; then save state_dict() instead."),
    ("pickle-attr-version", "error", "The module is here, the class is not", "The installed version of the package has no such class.", "Install the version that saved it; then save state_dict() instead."),
    ("pickle-library-refactor", "error", "The library has moved its modules", "A whole model was pickled under an older layout of the library.", "Load it with that version and save_pretrained, then use the new one."),
    ("pickle-weights-only", "error", "torch refuses the file's contents", "weights_only is the default and the file holds objects other than tensors.", "If you trust the file: torch.load(path, weights_only=False), or allow the classes named; then save the state dict alone."),
    ("pickle-persistent-id", "error", "A part of a torch file, not a pickle of its own", "It refers to storages by persistent ids, which pickle.load cannot resolve: a data.pkl taken out of a torch archive.", "Load the whole archive with torch.load."),
    ("pickle-not-torch", "error", "A pickle that torch did not write", "torch.load refuses it: it has no torch magic number.", "Load it with pickle or joblib in the environment that wrote it."),
    ("pickle-torchscript-mixup", "error", "A TorchScript archive, not a state dict", "torch.load with weights_only refuses archives that hold a program.", "torch.jit.load(path)."),
    ("pickle-cuda-device", "info", "Saved from a GPU", "Its tensors name a CUDA device; on a machine without one torch.load raises unless it is told where to put them.", "torch.load(path, map_location='cpu')."),
    ("training-checkpoint", "info", "A training checkpoint", "It holds optimizer state and counters beside the weights; load_state_dict wants the weights alone.", "model.load_state_dict(torch.load(path)[KEY])."),
    ("state-dict-class-drift", "warning", "The class beside the weights has changed since", "The class in the Python file makes other submodules than the state dict holds.", "Use the version of the class that saved it, or rename the keys."),
    ("security-pickle-globals", "error", "Loading it would run dangerous code", "The pickle calls functions that run programs or reach the system.", "Do not load it. Ask for a safetensors file."),
    ("security-pickle-suspicious", "warning", "The pickle does unusual things", "It holds constructions that no framework writes by itself.", "Do not load it unless you know its author."),
    ("security-pickle-unverified", "warning", "The pickle could not be read to its end", "What was not read cannot be judged.", "Do not load it unless you know its author."),
    # environment, memory, load
    ("environment-no-framework", "info", "The framework is not in this environment", "The verdict is what its newest known version would do.", "Pick an environment that has it: --python EXE."),
    ("environment-not-asked", "info", "The loader was not asked", "Only the files were read.", "Leave out --files-only, or pick an environment with torch and transformers."),
    ("memory-host-oom-killed", "error", "It does not fit into RAM", "Loading needs more memory than is free: the kernel would kill the process without a word.", "Load in a smaller dtype, or use a machine with more RAM."),
    ("memory-mmap-refused", "error", "The system will not map the file", "The file is larger than the memory that the system grants to one mapping.", "vm.overcommit_memory=1, or shards: save_pretrained(out, max_shard_size='5GB')."),
    ("load-failed", "error", "The load attempt failed", "The loader raised the exception that is shown.", "See the log."),
    ("load-killed", "error", "The load attempt was killed", "The process was ended by a signal.", "See the log."),
    ("loader-raises", "error", "The loader raises", "The loader's own code, asked about this config and these tensors, raises.", "See the message."),
)  # fmt: skip
"""Every rule, by its id."""

PAGES |= _pages(
    # GGUF
    ("gguf-truncated", "error", "The GGUF file is cut short", "A download or copy stopped early: tensors that the header names lie beyond the end of the file.", "Fetch the file again; for a split model check every part."),
    ("gguf-invalid-header", "error", "The GGUF header is damaged", "Counts, types, offsets or the alignment do not fit together: a damaged download, or a writer with a defect.", "Fetch the file again, or convert the model again."),
    ("gguf-version", "error", "A version of GGUF that readers do not take", "llama.cpp and the gguf package read versions 2 and 3; version 1 lived for a few weeks of 2023.", "Convert the model again with a current convert_hf_to_gguf.py, or fetch a newer conversion."),
    ("gguf-byte-order", "warning", "The GGUF file is big-endian", "It was converted with --bigendian; llama.cpp on an ordinary machine refuses it, the gguf package reads it.", "Convert it: gguf_convert_endian.py FILE little (scripts of the gguf package)."),
    ("gguf-duplicate", "error", "The GGUF header names something twice", "A tensor or key occurs more than once; readers refuse the file or take the first.", "Convert the model again."),
    ("gguf-unknown-type", "error", "The GGUF file holds tensors of an unknown type", "A quantization that is newer than the reader, or one that was removed (Q4_0_4_4 and its kin, Q4_2).", "Upgrade llama.cpp or the gguf package; for a removed type fetch the plain Q4_0 file."),
    ("gguf-trailing-bytes", "warning", "Bytes follow the last tensor of the GGUF file", "Something was appended, or two files were joined. Readers do not look at it.", "Fetch the file again if it should not be there."),
    ("gguf-split", "error", "Parts of the split GGUF model are missing", "The model is split into parts; the reader opens the first and needs all of them in the same directory.", "Fetch the missing parts, under their original names."),
    ("gguf-old-ggml", "error", "A GGML file from before GGUF", "The format was replaced in August 2023, and readers of today refuse it by its magic number.", "Fetch a GGUF conversion, or convert it with convert_llama_ggml_to_gguf.py of an old llama.cpp."),
    ("gguf-zero-header", "error", "The GGUF file begins with zeros", "The writer crashed before it wrote the header, or space was reserved and nothing fetched: readers find no magic number.", "Run the conversion again, or fetch the file again."),
    ("html-gguf", "error", "The GGUF file is a web page", "A /blob/ link was fetched instead of /resolve/, or a login page was saved.", "wget the /resolve/main/FILE link, or hf download."),
    ("gguf-unknown-arch", "error", "No release of llama.cpp known here has this architecture", "The file names an architecture that the engine does not know: the engine is older than the model, or the file is no language model.", "Upgrade the engine; for an empty name use the program the file was made for."),
    ("gguf-vocab-shape", "error", "The GGUF vocabulary does not fit the embeddings", "The file was converted with a tokenizer that has more or fewer tokens than the embedding has rows.", "Convert again with the right tokenizer (drop added_tokens.json or pad the embeddings), or use another conversion."),
    ("gguf-head-dim", "error", "The attention of the GGUF file has another head size than its metadata say", "The model sets head_dim apart from hidden_size / heads, and the converter wrote no attention.key_length.", "Convert again with a newer convert_hf_to_gguf.py, and update the engine."),
    ("gguf-lora-truncated-silent", "error", "The GGUF adapter is cut short", "Engines before the bounds check loaded such an adapter with zeros in place of what is missing, and said nothing.", "Fetch the adapter again, and upgrade llama.cpp."),
    # numpy
    ("numpy-truncated", "error", "The numpy array is cut short", "The file ends before the array that its header announces: a download or save stopped early.", "Fetch the file again, or save it again."),
    ("numpy-invalid-header", "error", "The header of the numpy array is damaged", "It is no dictionary of descr, fortran_order and shape, or longer than numpy accepts.", "Fetch the file again, or save it again."),
    ("numpy-object-array", "error", "An array of Python objects: numpy refuses it", "Objects are stored as a pickle, which numpy.load reads only with allow_pickle=True, since loading it runs what it names.", "Save plain arrays instead; if you trust the file: numpy.load(FILE, allow_pickle=True)."),
    ("numpy-trailing-bytes", "warning", "Bytes follow the numpy array", "Something was appended that is no array; numpy.load does not look at it.", "Check where the file came from."),
    # ONNX
    ("onnx-damaged", "error", "The ONNX file is damaged", "A download or save stopped early, something was appended, or the file is larger than protobuf reads.", "Fetch the file again; above 2 GiB save the weights as external data: onnx.save(model, out, save_as_external_data=True)."),
    ("onnx-tensor-size", "error", "A tensor of the ONNX file has the wrong number of bytes", "The bytes do not fit the shape and type beside them: a defect of the writer, or damage.", "Export the model again."),
    ("onnx-ir-version", "warning", "The ONNX file is newer than the checker", "Its IR version is above that of the newest onnx known here; onnx.load reads it, the checker and many runtimes refuse it.", "Upgrade onnx and the runtime, or export for an older opset."),
    ("onnx-external-missing", "error", "The ONNX model's weights are missing", "The model keeps its weights in a second file that was not copied with it.", "Fetch the file that is named, and put it beside the model."),
    ("onnx-external-truncated", "error", "The ONNX model's weights are cut short", "The file of external data is shorter than the model says.", "Fetch the file of external data again."),
    ("onnx-external-escapes", "error", "The ONNX model names files outside its directory", "External data must lie below the model's directory; anything else reaches where it should not, and onnx refuses it.", "Do not load it unless you know its author; else copy the data beside the model and correct the location."),
    ("onnx-external-link", "error", "The ONNX model's weights are a symbolic link", "onnx refuses external data behind a link, which is what a snapshot of the hub cache holds.", "Copy the model with links resolved: cp -rL SNAPSHOT DIR."),
    # containers of pickles
    ("pickle-side-file", "error", "A file that belongs to the pickle is missing", "joblib before 0.10 kept each array in a file of its own beside the pickle; the pickle alone does not load.", "Copy the .npy files that are named too; then load and dump it again with a current joblib."),
    ("archive-escapes", "warning", "The archive holds paths that lead out of its directory", "Unpacking it would write where it should not.", "Do not unpack it, or only with tar's own protection: tarfile's filter='data'."),
    ("zip-crc", "warning", "A record of the torch archive was changed after it was written", "Its CRC-32 does not match. torch does not check it and reads what is there.", "Compare the file's sha256 with its source, and fetch it again."),
    ("torch-zip-version", "error", "This torch does not read the archive's version", "The record `version` or `byteorder` holds a value that torch refuses: a newer format, or damage.", "Upgrade torch; if that does not help, fetch the file again."),
    # other formats
    ("flax-damaged", "error", "The Flax file is damaged", "The msgpack stream is cut short, continued by something else, or holds arrays that do not fit their shapes.", "Fetch the file again, or save it again."),
    ("fasttext-damaged", "error", "The fastText file is damaged", "It ends before its matrices, or is of a version that fastText does not read.", "Fetch the file again."),
    ("tflite-damaged", "error", "The TensorFlow Lite file is damaged", "Its tables refer to bytes that are not there: a download that stopped early, or damage.", "Fetch the file again."),
    ("coreml-damaged", "error", "The CoreML file is damaged", "A field reaches beyond the end of the file.", "Fetch the file again."),
    # adapters
    ("adapter-no-weights", "error", "The adapter has no weights", "There is an adapter_config.json and no adapter_model.safetensors or adapter_model.bin beside it.", "Fetch the file, or use the step before if a save was interrupted."),
    ("adapter-adapter-as-model", "info", "An adapter, not a model", "The directory holds what training added to a base model. AutoModel finds no config.json in it unless peft is installed; without the base model nothing loads.", "from peft import AutoPeftModelForCausalLM; AutoPeftModelForCausalLM.from_pretrained(path)."),
    ("adapter-empty-weights", "error", "The adapter is empty", "The weights were not gathered before they were saved (ZeRO-3 or FSDP without a full state dict): the adapter loads and changes nothing.", "Recover it with zero_to_fp32.py from the global_step directory, or save again with the weights gathered."),
    ("adapter-shape-mismatch", "error", "The adapter's shapes do not fit", "Its rank differs from the config, or it was trained on another base model or version.", "Use the base model and config that it was trained with."),
    ("adapter-resized-embeddings", "error", "The adapter's embeddings have another number of rows than the base model", "Tokens were added in training; the base model must be resized before the adapter is loaded.", "base.resize_token_embeddings(rows) before PeftModel.from_pretrained."),
    ("adapter-target-missing", "warning", "The adapter has nothing for some of its target modules", "The config names modules for which the file holds no pair: the names are of another architecture, or the save was partial. They keep their initial values, which change nothing.", "Compare target_modules with the base model's module names."),
    # layouts
    ("diffusers-component-missing", "error", "A component of the pipeline is missing", "model_index.json names a component whose directory or weights are not here: an interrupted or filtered download.", "Fetch the component's directory."),
    ("component-damaged", "error", "A component is damaged", "A file of one component is refused by its own format.", "Fetch that file again."),
    ("class-st-missing-module-dir", "error", "A module of the sentence-transformers model is missing", "modules.json names a directory that is not here: the model was copied without its sub-directories.", "Fetch the directory, with its config.json."),
    ("deepspeed-zero-checkpoint-only", "warning", "DeepSpeed's shards, not a model", "ZeRO saves the weights in pieces beside the optimizer's; from_pretrained reads none of them.", "python zero_to_fp32.py . pytorch_model.bin."),
    ("deepspeed-rank-file-missing", "error", "Files of some ranks are missing", "The stage or the number of processes changed, or the files of other nodes were not gathered.", "Copy the files of the other nodes here, or resume with the stage and the number of GPUs that saved it."),
    ("deepspeed-stage0-convert", "info", "A DeepSpeed checkpoint that needs no conversion", "ZeRO stage 0 keeps the weights whole; zero_to_fp32.py fails on it since there are no shards.", "torch.load('mp_rank_00_model_states.pt')['module']."),
    ("fsdp-sharded", "warning", "A sharded checkpoint, not a model", "torch.distributed.checkpoint and FSDP save one file for each rank; from_pretrained reads none of them.", "python -m torch.distributed.checkpoint.format_utils dcp_to_torch DIR pytorch_model.bin, or accelerate merge-weights DIR OUT."),
    ("dist-shard-missing", "error", "Files of the sharded checkpoint are missing or cut short", "The metadata name files that are not here or too short: other nodes' files were not copied, or the save was interrupted.", "Copy the missing files here, or use the step before."),
    ("dist-megatron-tp", "info", "Slices of a Megatron checkpoint", "Each mp_rank directory holds one slice of every layer; it loads only with the same tensor and pipeline parallel sizes.", "Convert it: tools/checkpoint/convert.py --target-tensor-parallel-size N."),
    ("shard-mp-world-size", "info", "The checkpoint loads in as many processes as it has files", "Each consolidated.NN file is the slice of one process.", "torchrun --nproc_per_node N, or convert it to one model."),
    ("layout-part-missing", "error", "Parts that the index names are missing", "The index of the checkpoint names files that are not here or have another size: an interrupted download or copy.", "Fetch the parts."),
    # quantization
    ("quantization-unknown-type", "warning", "The quantization is unknown to this transformers", "quant_method is newer than the library, or of another program; the loader says so in a warning and loads the packed tensors as if they were plain.", "Upgrade transformers, or load it with the program it was made for (vLLM, SGLang)."),
    ("quantization-leftover-config", "warning", "The config declares a quantization that the weights do not have", "The weights were dequantized and quantization_config was left in config.json.", "Remove quantization_config from config.json."),
    ("quantization-bnb-missing-or-no-cuda", "error", "bitsandbytes is not in this environment", "The checkpoint is quantized with bitsandbytes; the loader asks for it and for accelerate, and its message also appears where the packages are there and CUDA is not.", "pip install bitsandbytes accelerate, restart the kernel, and use a machine with a GPU."),
    ("quantization-package-missing", "error", "The package for this quantization is not in this environment", "The loader needs a package of the quantization's authors.", "Install the package that is named."),
    ("quantization-gptq-group-size", "error", "The group size of the tensors is not the declared one", "quantize_config.json, quantization_config or a flag says another group_size than the shapes of scales and zeros.", "Set group_size to the implied value; keep one quantized file in a folder."),
    ("quantization-vllm-missing-scale", "error", "Packed weights without their scales", "The tensors that unpack a quantized weight are not there: the export was partial, or of another version of the scheme.", "Export the model again, or upgrade the engine."),
    ("quantization-bnb-packed-as-plain", "error", "Packed 4-bit weights that the config does not declare", "The weights are those of bitsandbytes, two values a byte in one column; without quantization_config the loader builds plain layers whose shapes differ.", "Restore quantization_config in config.json."),
    ("quantization-gptq-file-name", "error", "The quantized weights have a name that the loader does not look for", "Older GPTQ tools named the file after its settings (gptq_model-4bit-128g.safetensors).", "Rename it to model.safetensors."),
)  # fmt: skip

PAGES |= _pages(
    # environment and versions
    ("pickle-cve-torch-2.6", "error", "transformers refuses pickled weights under this torch", "Before torch 2.6, weights_only=True could still run code (CVE-2025-32434), so transformers reads .bin files only under torch 2.6 or later.", "pip install 'torch>=2.6', or save the model as safetensors: model.save_pretrained(out)."),
    ("security-weights-only-not-safe", "warning", "weights_only does not protect in this torch", "Before torch 2.6, weights_only=True can run code (CVE-2025-32434); before 2.10 its unpickler can be made to corrupt memory (CVE-2026-24747).", "pip install -U torch, or ask for a safetensors file."),
    ("environment-fp8-dtype-torch", "error", "This torch has no 8-bit floating point", "torch gained float8_e4m3fn and float8_e5m2 in 2.1; older ones raise AttributeError.", "pip install 'torch>=2.1'."),
    ("environment-saved-by-newer", "info", "Saved by a newer transformers than is installed", "Configs and tokenizers of a newer release may hold fields and classes that this one does not know; most load all the same.", "pip install -U transformers."),
    ("environment-cpu-only-wheel", "error", "This torch was built without CUDA", "torch.cuda.is_available() is False because the CPU wheel is installed, or the driver is older than the wheel's CUDA.", "pip install torch --index-url https://download.pytorch.org/whl/cu126."),
    ("environment-trt-engine", "error", "A TensorRT engine belongs to one version and one GPU", "Engine plans are compiled; another TensorRT release refuses them.", "Build the engine again on this machine, from the ONNX file."),
    ("safetensors-metadata-none", "error", "The file names no framework, and this transformers insists on it", "The header has no __metadata__ with format 'pt'; transformers before 5 reads that entry and fails without it.", "pip install -U 'transformers>=5', or save again: safetensors.torch.save_file(load_file(p), out, metadata={'format': 'pt'})."),
    ("config-rope-scaling", "error", "This transformers does not know the rope_scaling of the config", "rope_scaling with rope_type and more than two fields came with transformers 4.43; older ones insist on type and factor alone.", "pip install 'transformers>=4.43'."),
    ("pickle-zip-old-torch", "error", "A zip checkpoint under a torch before 1.6", "The zip format came with torch 1.6; older ones take it for TorchScript.", "pip install -U torch, or save with _use_new_zipfile_serialization=False."),
    ("pickle-posixpath", "error", "The pickle holds a path of another operating system", "pathlib.PosixPath cannot be made on Windows, nor WindowsPath on Linux; Python 3.13 also moved the classes.", "Save str(path) instead; to read it once: pathlib.PosixPath = pathlib.WindowsPath."),
    ("pickle-torch-rebuild", "error", "The pickle was written by a newer torch", "It names a torch._utils function that this torch does not have.", "pip install -U torch."),
    ("pickle-not-lightning", "error", "This is a plain state dict, no Lightning checkpoint", "load_from_checkpoint reads pytorch-lightning_version, which only Lightning writes.", "model.load_state_dict(torch.load(path, weights_only=True))."),
    # memory
    ("memory-cuda-oom", "error", "The GPU ran out of memory", "Weights, cache, activations and what other processes hold are more than the device has.", "Load in 16 bits, quantize, shorten the context, or spread over devices: device_map='auto'; ckptriage memory PATH --device cuda:0 shows the parts."),
    ("memory-fp32-default", "warning", "16-bit weights are loaded as 32-bit", "config.json names float32 (or the caller does), the file holds 16 bits: loading copies every tensor and takes twice the memory.", "from_pretrained(PATH, dtype='auto') after correcting dtype in config.json, or dtype='bfloat16'."),
    ("memory-cgroup-limit", "error", "The container or job allows less memory than loading needs", "A control group above this process sets the limit; the machine itself has more.", "Raise the limit of the container, pod or job, or load in fewer bytes."),
    ("memory-optimizer-state", "error", "The optimizer's state does not fit beside the model", "Adam keeps two more values for each parameter; restoring puts them on the device.", "torch.load(path, map_location='cpu'), or resume without the optimizer."),
    ("memory-meta-tensor", "error", "Parameters were never filled", "They stayed on the meta device: their tensors are missing in the file, or there was no memory for them.", "Mend the missing keys first; do not call .to() on a model with meta parameters."),
    ("memory-vllm-kv", "error", "The context is longer than the cache that fits", "vLLM reserves cache for max_model_len tokens from what the weights leave.", "--max-model-len N, --gpu-memory-utilization, or more GPUs."),
    # hub
    ("hub-offline", "error", "The hub was not reached, and the file is not in the cache", "Offline, behind a proxy, or a second repository is named inside a config (base model, tokenizer).", "Fetch it on a machine with network: hf download REPO; or copy the cache directory and set HF_HOME."),
    ("hub-no-space", "error", "The disk is full", "The download or save stopped for want of space; files that are left are cut short.", "Free space or set HF_HOME to a larger disk; remove *.incomplete and fetch again."),
    ("hub-consistency-check", "error", "The download has another size than the hub names", "A mirror, proxy or interrupted transfer gave fewer bytes.", "Fetch again with --force-download; unset HF_ENDPOINT where it names a mirror."),
    ("hub-gated", "error", "The repository is gated", "Its terms are not accepted for this account, or the token is another account's.", "Accept the terms on the model's page, then hf auth login."),
    ("hub-lock-race", "warning", "Several processes fetched the same file at once", "Ranks raced for the same link in the cache, or a lock of a dead process was left.", "Download once before the launch; remove stale *.lock files."),
    ("hub-incomplete", "warning", "A download did not finish", "An .incomplete file lies beside the weights or among the blobs of the cache.", "Fetch again: hf download resumes what is there."),
    # files
    ("file-save-disk-full", "error", "The save failed: no space or quota", "torch's writer stopped in the middle; the file has no directory at its end and cannot be read.", "Free space, remove the partial file, resume from the checkpoint before."),
    ("file-mmap-enodev", "error", "The file system cannot map files", "Loaders map weights into memory; some network, FUSE and shared-folder file systems refuse.", "Copy the file to a local disk, or safetensors.torch.load(open(path, 'rb').read())."),
    ("file-upstream-corrupt", "error", "The file is damaged at its source", "Its sha256 is the one that the hub names, and still it does not parse: downloading again changes nothing.", "Use an older revision or another format of the repository, and tell the publisher."),
    ("file-misleading-from-tf", "error", "The message about TensorFlow is beside the point", "transformers suggests from_tf=True whenever a .bin cannot be read; the file is cut short, a pointer, or there was no memory.", "Run ckptriage check on the file, and mend what it names."),
    ("file-sha256-mismatch", "error", "The checksum does not match", "The bytes are not those that the source names.", "Delete the file and fetch it again."),
    ("hdf5-no-signature", "error", "This is no HDF5 file", "Its first bytes are not HDF5's: a pointer, a web page, a Keras 3 zip or another format under the name .h5.", "Run ckptriage check on it: its first bytes say what it is."),
    ("safetensors-metadata-only", "warning", "The file holds no tensor", "Only metadata was saved; older releases of the library refuse such a header.", "Save again with the weights."),
    ("shard-silently-dropped", "warning", "Layers are missing in a row of layers", "The layers' numbers have a gap: a shard that the index does not name, or a partial copy. Some servers start all the same and answer nonsense.", "Fetch the shard that holds them, and its index."),
    # classes and keys
    ("key-strict-false-silent", "warning", "strict=False loaded little or nothing", "Keys that do not match are skipped without an error; what was skipped stays random.", "Print the result of load_state_dict, or ckptriage compare PATH; rename the keys."),
    ("class-flash-attn-abi", "error", "flash_attn is installed and does not import", "Its compiled part belongs to another torch or CUDA; transformers reports it as not found.", "pip install --no-build-isolation --force-reinstall flash-attn, or attn_implementation='sdpa'."),
    ("class-weight-norm", "warning", "Weight norm under its old names", "weight_g and weight_v became parametrizations.weight.original0 and original1; a transformers that does not rename them leaves both random.", "pip install -U transformers, or rename the keys."),
    ("class-st-no-modules", "warning", "sentence-transformers makes up a pooling", "There is no modules.json, so it wraps the model with mean pooling, which may not be how it was trained.", "Use the sentence-transformers release of the model, or add modules.json and 1_Pooling/config.json."),
    ("class-diffusers-layout", "error", "A single-file checkpoint where diffusers wants a directory", "There is no model_index.json.", "Load it by from_single_file(path)."),
    ("class-unet-only", "error", "Only the denoiser is in the file", "Text encoders and VAE are not in it.", "Put it with the diffusion models and load it by a loader for those."),
    ("class-vllm-misleading", "error", "vLLM says that a listed architecture is not supported", "Its registry looks classes up in a child process; that process crashed, for a package that does not import.", "python -m vllm.model_executor.models.registry shows the crash; reinstall vLLM in a clean environment."),
    ("class-vllm-unsupported", "error", "vLLM does not have this architecture", "Its list of models is its own and changes with each release.", "pip install -U vllm, or serve through its transformers backend."),
    ("class-inpaint-channels", "error", "An inpainting model and a plain one were mixed", "conv_in takes 9 channels in an inpainting model, 4 in a plain one.", "Use the checkpoint of the right kind, or set num_in_channels."),
    ("class-base-model-arch", "info", "The bare model, without a head", "architectures names a …Model class: servers that generate text refuse it.", "Save it by its ForCausalLM class, or serve it for embeddings."),
    ("class-delta-weights", "warning", "Delta weights: differences to a base model", "Alone they give nonsense; they are to be added to the base.", "python -m fastchat.model.apply_delta --base-model-path BASE --target-model-path OUT --delta-path THIS."),
    ("class-mtp-silent-random", "warning", "Layers for several tokens at once are not loaded", "The file holds multi-token prediction layers that this class has no place for.", "pip install -U transformers, or go on without them."),
    ("config-lm-head-extra-when-tied", "info", "Tied, and the head is stored all the same", "tie_word_embeddings is true and lm_head.weight is in the file: transformers ties where the bytes are equal, other programs stumble over the key.", "Press enter on the tie in Compare to compare the bytes; drop lm_head.weight where they are equal."),
    # tokenizer
    ("tokenizer-json-newer", "error", "tokenizer.json was written by a newer tokenizers", "Merges as pairs came with tokenizers 0.20; older ones say that the data did not match any variant.", "pip install -U 'tokenizers>=0.20' 'transformers>=4.45'."),
    ("tokenizer-spm-corrupt", "error", "The sentencepiece model is damaged", "It is a pointer, a web page, empty or cut short: no sentencepiece model begins so.", "Fetch it again: hf download REPO tokenizer.model."),
    ("tokenizer-processor-missing", "warning", "The processor's config is missing", "The model sees or hears, and preprocessor_config.json is not here: AutoProcessor fails.", "Copy preprocessor_config.json (and chat_template) from the base model."),
    ("tokenizer-class-remote", "warning", "The tokenizer is code of the checkpoint's own", "auto_map names a Python file for AutoTokenizer: without trust_remote_code another class is taken, or none.", "AutoTokenizer.from_pretrained(PATH, trust_remote_code=True) once you have read the file."),
    ("tokenizer-chat-template", "info", "A chat model without a chat template", "apply_chat_template() fails: neither tokenizer_config.json nor chat_template.jinja holds one.", "Copy the template from the instruct release, or set tokenizer.chat_template."),
    ("tokenizer-class-v5-backend", "error", "The tokenizer was saved by transformers 5", "tokenizer_class TokenizersBackend does not exist before 5.", "pip install 'transformers>=5', or set tokenizer_class to PreTrainedTokenizerFast."),
    ("tokenizer-config-unhashable", "error", "Special tokens as objects, under a transformers that wants text", "Some releases cannot read special tokens that are JSON objects.", "pip install -U transformers."),
    # every byte
    ("zip-record-crc", "warning", "Bytes of the archive changed after it was saved", "A record's CRC does not match its bytes: bit rot or a damaged transfer. torch does not check it and loads the wrong values without a word.", "Fetch the file again and compare its sha256 with the source."),
    ("tensor-not-finite", "warning", "Tensors hold infinite or undefined values", "Training diverged, a cast to 16 bits overflowed, or bytes are damaged: the model loads and answers nonsense.", "Use the checkpoint before, or the file in its original dtype; compare its sha256 with the source."),
    ("tensor-all-zero", "info", "Weight tensors of zeros", "They were never trained or never written; some adapters and gates begin as zeros by design.", "Check the run that saved it, or the conversion."),
    ("tensor-duplicate", "info", "Tensors with the same bytes", "Tied weights stored twice, or layers copied from one another.", "Nothing to mend; saving through save_pretrained stores tied weights once."),
    # accelerators
    ("quantization-fp8-arch", "error", "This GPU has no 8-bit floating point", "fp8e4nv needs compute capability 8.9 or newer.", "Use the bf16 or int8 variant, or another GPU."),
    ("quantization-vllm-capability", "error", "The quantization needs a newer GPU", "vLLM's kernels for this method have a lowest compute capability.", "Use GPTQ or 16 bits on this GPU, or a newer one."),
    ("quantization-gptq-on-cpu", "error", "GPTQ's kernels want every module on the GPU", "Parts were put on CPU or disk because the GPU is too small.", "Take a smaller model or more GPUs, or another backend than Exllama."),
    ("class-remote-import-missing", "error", "The checkpoint's own code needs a package", "A Python file beside the weights imports packages that are not installed; transformers looks at them before it runs the file.", "Install what the message names: pip install PACKAGE."),
    ("deepspeed-numel-mismatch", "error", "The shards do not add up", "zero_to_fp32.py of another DeepSpeed than the one that saved counts other padding.", "Use the zero_to_fp32.py of the DeepSpeed that saved, or a newer one."),
    # security
    ("security-false-malicious", "warning", "A damaged file was called malicious", "Some programs say so of every archive that their check cannot read.", "Run ckptriage check: it tells damaged, unusual and dangerous apart."),
)  # fmt: skip
