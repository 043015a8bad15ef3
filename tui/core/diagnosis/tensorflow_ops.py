"""Which ops TensorFlow knows by itself, and which package brings the others."""

from __future__ import annotations

from functools import cache
from pathlib import Path

NEWEST = "2.21"
"""The release whose ops are listed beside this module, dumped from its registry."""

PRODUCER = 2474
"""The version of graphs that it writes, and the highest `min_consumer` that it reads."""

TEXT_OPS: frozenset[str] = frozenset((
    "CaseFoldUTF8", "ConstrainedSequence", "FastBertNormalize", "FastWordpieceTokenizeWithOffsets",
    "FindSourceOffsets", "MaxSpanningTree", "NormalizeUTF8", "NormalizeUTF8WithOffsetsMap",
    "PhraseTokenize", "RegexSplitWithOffsets", "RougeL", "SentenceFragments", "SentenceFragmentsV2",
    "SentencepieceDetokenizeOp", "SentencepieceIdToStringOp", "SentencepieceOp",
    "SentencepieceStringToIdOp", "SentencepieceTokenizeOp", "SentencepieceTokenizeWithOffsetsOp",
    "SentencepieceVocabSizeOp", "SplitMergeTokenizeWithOffsets", "TokenizerFromLogits",
    "UnicodeScriptTokenizeWithOffsets", "WhitespaceTokenizeWithOffsets",
    "WordpieceTokenizeWithOffsets",
))  # fmt: skip
"""Ops of tensorflow_text 2.21; those named `TFText>…` are its own too."""

PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Ops that call back into the Python program that made the graph."""

FILE_OPS = frozenset({"ReadFile", "WriteFile"})
"""Ops that read or write any file of the machine."""


_PREFIXES = (
    ("Addons>", "tensorflow-addons"),
    ("SimpleML", "tensorflow-decision-forests"),
    ("TFRA>", "tensorflow-recommenders-addons"),
    ("IO>", "tensorflow-io"),
)


@cache
def known() -> frozenset[str]:
    """Every op of TensorFlow itself."""
    return frozenset(Path(__file__).with_name("tensorflow_ops.txt").read_text("ascii").split())


def package_of(op: str) -> str:
    """The package that registers an op which TensorFlow lacks, empty where it is not known."""
    if op in TEXT_OPS or op.startswith("TFText>"):
        return "tensorflow-text"
    for prefix, package in _PREFIXES:
        if op.startswith(prefix):
            return package
    return ""


def missing(ops: list[str]) -> list[str]:
    """Those of `ops` that TensorFlow does not have by itself."""
    names = known()
    return [op for op in ops if op not in names]
