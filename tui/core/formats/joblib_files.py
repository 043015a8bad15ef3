"""Arrays that joblib before 0.10 kept beside its pickle, one `.npy` file each (`joblib/numpy_pickle_compat.py` 1.6)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from tui.core.checkpoint import LEVELS, FileReport
from tui.core.files import FileProblem, open_regular
from tui.core.formats import numpy_files
from tui.core.problems import Problem
from tui.core.record import replace
from tui.core.text import count_of, listing

if TYPE_CHECKING:
    from tui.core.checkpoint import FileReport, PickleReport
    from tui.core.files import RegularFile
    from tui.core.tensors import Tensor

MAX_FILES = 10_000


def with_side_files(file: RegularFile, report: FileReport) -> FileReport:
    """The report with the arrays in the files that the pickle names, their own pickles judged with it."""
    names = [name for name in report.metadata.get("side_files", []) if isinstance(name, str)]
    tensors: list[Tensor] = []
    missing: list[str] = []
    pickle = report.pickle
    for name in names[:MAX_FILES]:
        if os.path.basename(name) != name or name in ("", ".", ".."):
            words = f"names a side file outside its directory: {listing([name])}"
            return report.with_problems(Problem("pickle-side-file", words, file.name))
        try:
            with open_regular(file.path.parent / name, name) as beside:
                if numpy_files.matches(beside.head(16), name, beside.size):
                    inner = numpy_files.read(beside)
                    pickle = _worse(pickle, inner.pickle)
                    tensors += [msgspec.structs.replace(tensor, name=name) for tensor in inner.tensors[:1]]
        except FileProblem:
            missing.append(name)
    report = replace(report, tensors=(*report.tensors, *tensors), pickle=pickle)
    if not missing:
        return report
    words = f"{count_of(len(missing), 'array')} lie in files that are not here: {listing(missing)}"
    error = ("FileNotFoundError", f"[Errno 2] No such file or directory: '{missing[0]}'")
    detail = tuple(missing[:20])
    return report.with_problems(Problem("pickle-side-file", words, file.name, loader_error=error, detail=detail))


def _worse(one: PickleReport | None, other: PickleReport | None) -> PickleReport | None:
    """Both as one: joblib loads an object array of a side file with it."""
    if one is None or other is None:
        return one or other
    return replace(
        one,
        level=max(one.level, other.level, key=LEVELS.index),
        globals=tuple(dict.fromkeys((*one.globals, *other.globals))),
        unlisted=tuple(dict.fromkeys((*one.unlisted, *other.unlisted))),
        reasons=(*one.reasons, *other.reasons),
    )
