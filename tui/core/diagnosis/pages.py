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
    # tensorflow
    ("tensorflow-pb-damaged", "error", "The protobuf is damaged", "saved_model.pb or a graph is cut short, empty of graphs, or no protobuf at all. TensorFlow's words (Wire format was corrupt, or 0 MetaGraphs and a tags= argument) do not say that.", "Copy or download the file again."),
    ("tensorflow-pbtxt", "info", "The SavedModel is kept as text", "saved_model.pbtxt is the text form of saved_model.pb; TensorFlow reads it, this program does not.", "Load it with TensorFlow, and save it again as saved_model.pb."),
    ("tensorflow-index-missing", "error", "The index of the variables is missing", "A tensor bundle is an .index and its .data shards; without the index nothing can be found. TensorFlow's hint about experimental_io_device is beside the point.", "Copy the directory again, with variables/ and everything in it."),
    ("tensorflow-index-damaged", "error", "The index of the variables is damaged", "The table that names the tensors is cut short or does not hold together.", "Copy the file again."),
    ("tensorflow-shard-truncated", "error", "The variables are cut short", "A data shard ends before the last tensor that the index names. TensorFlow says only: Read less bytes than requested.", "Copy the shard again."),
    ("tensorflow-shard-missing", "error", "A shard of the variables is missing", "The index names a shard that is not here, or the shards are of another set.", "Copy the shard again; do not rename shards."),
    ("tensorflow-checksum", "error", "The index does not match its checksum", "Bits changed on a disk or on the way.", "Copy or download the file again, and compare its sha256."),
    ("tensorflow-asset-missing", "warning", "An asset is missing", "The graph names a file (a vocabulary) that is not in assets/: the directory was copied without its subdirectories.", "Copy assets/ too: cp -r, not cp *."),
    ("tensorflow-ckpt-prefix", "warning", "The checkpoint file points elsewhere", "The file `checkpoint` names a path of another machine or a checkpoint that was deleted, so that tf.train.latest_checkpoint finds nothing; the tensors themselves can be read through their prefix.", "Give the prefix (the name without .index), or edit the file `checkpoint`."),
    ("tensorflow-variables-mismatch", "error", "The variables are another model's", "Variables of the graph have no tensor of their dtype and shape in the bundle: variables/ was copied from another model or another save.", "Copy variables/ from the same save as saved_model.pb."),
    ("tfhub-v1-in-tf2", "error", "A hub module of TensorFlow 1", "hub.Module wrote it: it has no object graph, two MetaGraphs and no `default` signature. hub.load succeeds, and the call fails one step later.", "hub.KerasLayer(path, signature='tokens', signature_outputs_as_dict=True), hub.load(path).signatures['tokens'](…), or the TensorFlow 2 version of the handle (/3, /4)."),
    ("tensorflow-savedmodel-not-callable", "error", "The loaded object cannot be called", "A SavedModel of TensorFlow 1 has no object graph: what load returns has signatures, and no __call__.", "tf.saved_model.load(path).signatures['serving_default'](**tensors)."),
    ("tensorflow-tags", "error", "Several graphs, and no tags", "The SavedModel holds more than one MetaGraph; the loader wants to be told which.", "tf.saved_model.load(path, tags=[…])."),
    ("tfhub-signature", "warning", "The inputs go in a list, not in a dict", "Handles /1 and /2 of BERT take [input_word_ids, input_mask, input_type_ids] and return (pooled, sequence); /3 and /4 take and return dicts. Any other form says: Could not find matching concrete function to call.", "Call it with the structure that the model was saved with."),
    ("tfhub-text-input", "info", "The encoder takes ids, not text", "BERT's encoder and its preprocessing model are two: text goes through the preprocessing model first.", "ids = hub.load('…/bert_en_uncased_preprocess/3')(tf.constant(['text'])); encoder(ids)."),
    ("tfhub-input-names", "error", "The names of the inputs differ", "Hugging Face says input_ids, attention_mask, token_type_ids; TensorFlow 1's BERT input_ids, input_mask, segment_ids; TensorFlow 2's encoders input_word_ids, input_mask, input_type_ids.", "Rename: input_ids → input_word_ids, attention_mask → input_mask, token_type_ids or segment_ids → input_type_ids."),
    ("tfhub-input-dtype", "error", "The dtype or rank of an input differs", "The model was saved for int32 matrices; numpy and Hugging Face give int64, and a single example has no batch dimension.", "{k: tf.cast(v, tf.int32) for k, v in inputs.items()}; tf.expand_dims(x, 0)."),
    ("tfhub-text-structure", "error", "The model takes a vector of strings", "A text model was given a dict or a single string.", "model(tf.constant(['a sentence']))."),
    ("tfhub-keraslayer-signature", "error", "The layer needs a signature", "hub.KerasLayer must be told the signature of a model that cannot be called by itself, and with it output_key or signature_outputs_as_dict.", "hub.KerasLayer(path, signature='serving_default', output_key=…)."),
    ("tfhub-pkg-resources", "warning", "tensorflow-hub cannot be imported", "tensorflow-hub 0.16.1 imports pkg_resources, which setuptools 82 removed.", "pip install \"setuptools<82\""),
    ("tfhub-handle", "error", "The handle cannot be resolved", "A hub handle is a name, not a path: it is resolved over the network, or from the local cache. tensorflow-hub sets no timeout, so that a firewall looks like a hang.", "Download the model elsewhere (kagglehub.model_download), unpack it, and give its directory."),
    ("tfhub-no-keraslayer", "error", "This tensorflow-hub is too old", "hub.KerasLayer came with tensorflow-hub 0.5 and needs TensorFlow 2.", "pip install -U tensorflow tensorflow-hub"),
    ("tensorflow-op-not-registered", "error", "The graph uses ops that TensorFlow does not have", "A graph names its ops; those of tensorflow_text and other packages are registered when the package is imported. TensorFlow names the first that it misses, and a hint about tf.contrib that is out of date.", "pip install \"tensorflow-text==2.21.*\" and import tensorflow_text before the load (there is none for Windows)."),
    ("tensorflow-newer-writer", "error", "A newer TensorFlow wrote it", "The graph asks for a later version than the one that reads it.", "Upgrade TensorFlow to at least the version that wrote it, or export the model again."),
    ("tensorflow-py-function", "error", "The graph calls Python functions that are not in it", "tf.py_function keeps a reference into the program that made the graph. The model loads, and every call fails.", "Export the model again with TensorFlow ops only."),
    ("tensorflow-file-ops", "warning", "The graph reads or writes files", "A SavedModel is a program: these ops touch files of the machine that runs it.", "Look at where it came from before you run it."),
    ("tensorflow-checkpoint-no-model", "info", "A checkpoint, not a model", "It holds weights by name; the model that they belong to is in a program. hub.load and tf.saved_model.load want a SavedModel; TensorFlow's readers want the prefix, not the .index.", "tf.train.load_checkpoint(prefix), or convert it."),
    # keras
    ("hdf5-damaged", "error", "The HDF5 file is damaged", "A part of its structure leads nowhere or is not what it should be.", "Fetch the file again."),
    ("hdf5-outside", "warning", "The HDF5 file refers to other files", "External storage, virtual datasets and links can read any file of the machine; Keras does not write them.", "Do not load it unless you know its author."),
    ("hdf5-not-read", "info", "A part of the HDF5 file is not read", "Groups in dense storage (libver='latest') are not read by this program.", "Copy the file with h5py's default settings."),
    ("hdf5-no-signature", "error", "The file is no HDF5", "Its first bytes are not HDF5's: a .keras archive, a SavedModel, a web page or a pointer under another name.", "Fetch it again, or use the loader of what it is."),
    ("keras-archive-damaged", "error", "The Keras archive is damaged", "A .keras file is a zip with config.json, metadata.json and model.weights.h5; its directory stands at the end. Keras says only: File not found.", "Fetch the file again, or save the model again."),
    ("keras-custom-class", "error", "It needs a class of somebody's own", "The config names layers that do not come with Keras; load_model has to be given them.", "keras.models.load_model(path, custom_objects={'Name': Name})."),
    ("keras-hub-h5", "error", "A hub layer is inside", "hub.KerasLayer is a layer of Keras 2, and its handle has to resolve when the model is loaded.", "tf_keras.models.load_model(path, custom_objects={'KerasLayer': hub.KerasLayer})."),
    ("keras-lambda-safe-mode", "error", "A Lambda layer holds Python bytecode", "Loading it would run code from the file. Keras 3 refuses; tf_keras runs it without asking. The bytecode also fits one Python version only.", "Replace the Lambda by a layer class; safe_mode=False only for a file that you trust."),
    ("keras-version-skew", "error", "Keras 2 and Keras 3 do not agree on it", "The file was saved in a form that the other version does not take.", "tf_keras for files of Keras 2; compile=False where only the loss or the metrics are refused."),
    ("keras-weights-only", "error", "Weights without a model", "save_weights or another program wrote it: there is no model_config to build the model from.", "Build the model, then model.load_weights(path)."),
    ("keras-layer-count", "error", "The layers differ in number", "The weights were saved from another architecture or by another version of Keras.", "Build the model with the version that saved it; by_name=True for a part of it."),
    ("keras3-savedmodel", "info", "Keras 3 does not load SavedModels", "load_model of Keras 3 takes .keras and .h5. The TFSMLayer(…, 'serving_default') that it advises fails for models of several inputs, as BERT's.", "TFSMLayer(path, call_endpoint='__call__'), or tf_keras.models.load_model(path)."),
    ("keras-hub-layer-not-instance", "info", "hub.KerasLayer is no layer of Keras 3", "tensorflow-hub builds on tf_keras; tf.keras is Keras 3 since TensorFlow 2.16, and refuses its layers.", "import tf_keras as keras, or TF_USE_LEGACY_KERAS=1 before TensorFlow is imported."),
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
