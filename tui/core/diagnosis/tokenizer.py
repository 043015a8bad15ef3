"""The tokenizer against the embedding, as far as the files tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.diagnosis.make import edit_json, finding, python_command
from tui.core.text import listing, printable, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint, Tokenizer
    from tui.core.diagnosis.evidence import Evidence, Finding

_MODELS = ("transformers", "sentence_transformers", "tokenizer")


def _tokenizer(evidence: Evidence) -> tuple[Tokenizer | None, Checkpoint]:
    """The tokenizer to judge, and where it lies."""
    other = evidence.tokenizer
    return (other.tokenizer, other) if other is not None else (evidence.checkpoint.tokenizer, evidence.checkpoint)


def _is_model(checkpoint: Checkpoint) -> bool:
    return checkpoint.kind in _MODELS and bool(checkpoint.tensors or checkpoint.kind == "tokenizer")


def absent(evidence: Evidence) -> Iterator[Finding]:
    """A text model saved alone."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind != "transformers" or checkpoint.is_file or evidence.tokenizer is not None:
        return
    if checkpoint.tokenizer is None and checkpoint.embedding is not None:
        yield finding("tokenizer-absent", ["no tokenizer file in the directory"])


def vocabulary_missing(evidence: Evidence) -> Iterator[Finding]:
    """Tokenizer files without a vocabulary: AutoTokenizer returns a few special tokens and says nothing."""
    tokenizer, place = _tokenizer(evidence)
    if tokenizer is None or tokenizer.vocabulary or not _is_model(evidence.checkpoint):
        return
    shown = [name for name in tokenizer.files if name != "chat_template.jinja"]
    if not shown:
        return
    name = tokenizer.tokenizer_class or "AutoTokenizer"
    says = _says(evidence) or f"AutoTokenizer returns a {printable(name)} of special tokens alone, without an error"
    yield finding(
        "tokenizer-files-missing",
        [f"here: {listing(shown, 5)}; none of tokenizer.json, vocab.txt, vocab.json, *.model", says],
        fix=(f"hf download BASE_MODEL tokenizer.json vocab.txt --local-dir {shell(str(place.root))}",),
    )


def _says(evidence: Evidence) -> str:
    """What AutoTokenizer returned, in words; empty where it was not asked."""
    answer = evidence.tokenizer_answer
    if answer is None or "class" not in answer:
        return ""
    return (
        f"AutoTokenizer returns a {printable(str(answer['class']))} of {answer.get('length')} tokens, without an error"
    )


def vocabulary_not_read(evidence: Evidence) -> Iterator[Finding]:
    """A vocabulary is here, and the class that AutoTokenizer picks does not read it: a tokenizer of a few tokens."""
    tokenizer, place = _tokenizer(evidence)
    answer = evidence.tokenizer_answer
    if tokenizer is None or answer is None or not tokenizer.vocabulary or not _is_model(evidence.checkpoint):
        return
    length = answer.get("length")
    if not isinstance(length, int) or tokenizer.size is None or length * 4 > tokenizer.size:
        return
    files = listing(tokenizer.vocabulary)
    fix = f"from transformers import BertTokenizer; BertTokenizer.from_pretrained({place.path!r})"
    yield finding(
        "tokenizer-files-missing",
        [
            f"{files}: {tokenizer.size:,} tokens",
            _says(evidence),
            f"{printable(str(answer['class']))} reads other files",
        ],
        title=f"AutoTokenizer does not read {files}: {length} tokens instead of {tokenizer.size:,}",
        fix=(fix,) if "vocab.txt" in tokenizer.vocabulary else (),
    )


def raises(evidence: Evidence) -> Iterator[Finding]:
    """AutoTokenizer raises on the files that are here."""
    answer = evidence.tokenizer_answer
    tokenizer, _ = _tokenizer(evidence)
    if answer is None or "error" not in answer or tokenizer is None or tokenizer.problems:
        return
    error = answer["error"]
    kind, message = str(error.get("type")), str(error.get("message"))
    needs = "sentencepiece" in message.lower() or "tiktoken" in message.lower()
    yield finding(
        "tokenizer-class-needs-sentencepiece" if needs else "tokenizer-raises",
        [f"AutoTokenizer says: {printable(kind)}: {printable(message, 400)}"],
        fix=("pip install sentencepiece tiktoken protobuf",) if needs else (),
    )


def larger_than_embedding(evidence: Evidence) -> Iterator[Finding]:
    """Ids that have no row in the embedding."""
    tokenizer, place = _tokenizer(evidence)
    embedding = evidence.checkpoint.embedding
    if tokenizer is None or embedding is None or not _is_model(evidence.checkpoint):
        return
    rows, name = embedding.shape[0], embedding.name
    if tokenizer.max_id is None:
        yield from _longer_than_embedding(evidence, rows, name)
        return
    if tokenizer.max_id < rows or _explained(evidence):
        return
    beyond = [f"{printable(token)} = {number}" for token, number in tokenizer.beyond if number >= rows]
    yield finding(
        "tokenizer-len-gt-embed",
        [
            f"highest id {tokenizer.max_id:,} ({listing(beyond, 4)}); {printable(name)} has {rows:,} rows",
            f"{tokenizer.size or 0:,} tokens in {printable(str(place.path))}",
            "loading says nothing; the first text with such an id raises IndexError: index out of range in self",
        ],
        title=f"The tokenizer has ids up to {tokenizer.max_id:,}, the embedding {rows:,} rows",
        file=tokenizer.vocabulary[0] if tokenizer.vocabulary else None,
        fix=(
            "use the tokenizer that the model was trained with",
            "model.resize_token_embeddings(len(tokenizer))  # new rows are random: train them",
        ),
    )


def _explained(evidence: Evidence) -> bool:
    """Whether the vocabulary's size is already named as what config and weights disagree on."""
    comparison = evidence.comparison
    return comparison is not None and any("vocab" in item.field for item in comparison.fields)


def _longer_than_embedding(evidence: Evidence, rows: int, name: str) -> Iterator[Finding]:
    """A vocabulary that only the library can read, counted by it."""
    length = (evidence.tokenizer_answer or {}).get("length")
    if isinstance(length, int) and length > rows:
        yield finding("tokenizer-len-gt-embed", [f"{_says(evidence)}; {printable(name)} has {rows:,} rows"])


def smaller_than_embedding(evidence: Evidence) -> Iterator[Finding]:
    """Rows without a token: padding where they are few."""
    tokenizer, _ = _tokenizer(evidence)
    embedding = evidence.checkpoint.embedding
    if tokenizer is None or tokenizer.max_id is None or embedding is None:
        return
    rows, name = embedding.shape[0], embedding.name
    if tokenizer.max_id + 1 >= rows:
        return
    spare = rows - tokenizer.max_id - 1
    padded = any(rows % step == 0 and spare < step for step in (8, 16, 32, 64, 128, 256, 512))
    rule = "tokenizer-vocab-padded-benign" if padded else "tokenizer-smaller"
    yield finding(rule, [f"{printable(name)} has {rows:,} rows, the tokenizer {tokenizer.max_id + 1:,} ids"])


def case(evidence: Evidence) -> Iterator[Finding]:
    """Case kept over a vocabulary without capitals, or dropped over one that has them."""
    tokenizer, place = _tokenizer(evidence)
    if tokenizer is None or tokenizer.lowercases is not False or tokenizer.upper_words or tokenizer.lower_words < 30:
        return
    if (
        tokenizer.tokenizer_class
        and "Bert" not in tokenizer.tokenizer_class
        and "Electra" not in tokenizer.tokenizer_class
    ):
        return
    yield finding(
        "tokenizer-case-mismatch",
        [
            f"do_lower_case is false; {tokenizer.lower_words:,} words of the vocabulary are lower-case, "
            "none has a capital",
            "every capitalised word becomes the unknown token",
        ],
        file="tokenizer_config.json" if "tokenizer_config.json" in tokenizer.files else None,
        fix=(_lowercase_command(place),),
    )


def _lowercase_command(place: Checkpoint) -> str:
    code = (
        "import json, os, sys; d = sys.argv[1]; p = os.path.join(d, 'tokenizer_config.json'); c = json.load(open(p)); "
        "c['do_lower_case'] = True; json.dump(c, open(p, 'w'), indent=2); p = os.path.join(d, 'tokenizer.json'); "
        "t = json.load(open(p)); t['normalizer']['lowercase'] = True; json.dump(t, open(p, 'w'))"
    )
    return python_command(code, str(place.root))


def special_ids(evidence: Evidence) -> Iterator[Finding]:
    """Ids in the config that the embedding does not have."""
    config = evidence.checkpoint.settings
    embedding = evidence.checkpoint.embedding
    if embedding is None or evidence.checkpoint.kind != "transformers":
        return
    rows, name = embedding.shape[0], embedding.name
    bad = {
        key: value
        for key in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
        if isinstance(value := config.get(key), int) and value >= rows
    }
    explained = evidence.comparison is not None and evidence.comparison.mismatched
    if bad and not explained:
        shown = ", ".join(f"{key} {value}" for key, value in bad.items())
        said = evidence.comparison.error if evidence.comparison is not None else None
        stops = said is not None and "Padding_idx" in said[1]
        lines = [f"{shown}; {printable(name)} has {rows:,} rows"]
        if said is not None and stops:
            lines.append(f"the loader says: {said[0]}: {printable(said[1], 200)}")
        known = evidence.checkpoint.tokenizer.special_ids if evidence.checkpoint.tokenizer is not None else {}
        right = {key: known.get(key.removesuffix("_id")) for key in bad}
        fix = edit_json(evidence.checkpoint, "; ".join(f"c[{key!r}] = {value!r}" for key, value in right.items()))
        severity = "error" if stops else ""
        yield finding("tokenizer-special-ids", lines, file="config.json", severity=severity, fix=(fix,))
