"""Files of ranks against one another: slices of one model have the same names, and where they are equal, shapes."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from tui.core.diagnosis.make import copy_again, finding
from tui.core.text import count_of, listing, printable, shape_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import FileReport
    from tui.core.diagnosis.evidence import Evidence, Finding

_KINDS: tuple[tuple[re.Pattern[str], bool], ...] = (
    (re.compile(r"^mp_rank_\d+(?P<group>(?:_\d+)?/.+)$"), True),
    (re.compile(r"^consolidated\.\d+(?P<group>\..+)$"), True),
    (re.compile(r"^(?P<group>(?:pytorch_)?(?:model|optim|optimizer)_world_size_\d+)_rank_\d+\.pt$"), False),
    (re.compile(r"^(?P<group>(?:bf16_|fp16_)?zero)_pp_rank_\d+(?P<rest>_mp_rank_[\d_]+[a-z]+_states\.pt)$"), False),
)  # fmt: skip
"""Names of rank files, what of a name is the same for those that are alike, and whether their shapes are equal too."""

_Form = frozenset[tuple[str, tuple[int, ...]]]


def differing(evidence: Evidence) -> Iterator[Finding]:
    """A rank whose names or shapes are not those of most."""
    groups: dict[tuple[int, str], list[FileReport]] = {}
    for file in evidence.checkpoint.files:
        for number, (pattern, _) in enumerate(_KINDS):
            match = pattern.match(file.name)
            if match is not None and file.fatal is None:
                key = match["group"] + match.groupdict().get("rest", "")
                groups.setdefault((number, key), []).append(file)
    for (number, _), files in groups.items():
        yield from _group(evidence, files, _KINDS[number][1])


def _group(evidence: Evidence, files: list[FileReport], shapes: bool) -> Iterator[Finding]:
    forms = [frozenset((item.name, item.shape if shapes else ()) for item in file.tensors) for file in files]
    usual = Counter(forms).most_common(1)[0][0]
    for file, form in zip(files, forms, strict=True):
        if form == usual:
            continue
        like = files[forms.index(usual)].name
        yield finding(
            "dist-rank-differs",
            [f"{printable(file.name)} is not like {printable(like)}", *_unlike(form, usual)],
            file=file.name,
            fix=copy_again(evidence.checkpoint, file.name),
        )


def _unlike(form: _Form, usual: _Form) -> list[str]:
    """What of the one is not in the other."""
    here, there = dict(form), dict(usual)
    lines = []
    for words, names in (("only here", here.keys() - there.keys()), ("not here", there.keys() - here.keys())):
        if names:
            shown = listing([printable(name, 80) for name in sorted(names)])
            lines.append(f"{count_of(len(names), 'tensor')} {words}: {shown}")
    for name in sorted(name for name in here.keys() & there.keys() if here[name] != there[name])[:5]:
        lines.append(f"{printable(name, 80)}: {shape_text(here[name])} here, {shape_text(there[name])} there")
    return lines
