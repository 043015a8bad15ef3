"""Findings in the words of their page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.diagnosis.evidence import Finding
from tui.core.diagnosis.pages import PAGES
from tui.core.text import shell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.core.checkpoint import Checkpoint, JsonFile


def finding(
    rule: str,
    evidence: Iterable[str],
    *,
    title: str = "",
    file: str | None = None,
    fix: Iterable[str] = (),
    severity: str = "",
    cause: str = "",
    confidence: str = "certain",
    offset: int | None = None,
) -> Finding:
    """A finding whose title, cause, severity and fix come from the rule's page unless given."""
    page = PAGES[rule]
    return Finding(
        rule=rule,
        severity=severity or page.severity,
        title=title or page.title,
        file=file,
        evidence=tuple(evidence),
        cause=cause or page.cause,
        fix=tuple(fix) or (page.fix,),
        confidence=confidence,
        offset=offset,
    )


def repository(checkpoint: Checkpoint) -> tuple[str, str]:
    """(`org/name`, revision) where the path is a snapshot of the hub cache, else empty strings."""
    parts = checkpoint.root.absolute().parts
    for index, part in enumerate(parts):
        if part.startswith("models--") and index + 2 < len(parts) and parts[index + 1] == "snapshots":
            return part.removeprefix("models--").replace("--", "/"), parts[index + 2]
    return "", ""


def fetch_again(checkpoint: Checkpoint, *files: str) -> tuple[str, ...]:
    """The command that fetches these files again, for this checkpoint's own source where it shows."""
    repo, revision = repository(checkpoint)
    if repo:
        return (shell("hf", "download", repo, *files, "--revision", revision, "--force-download"),)
    where = str(checkpoint.root)
    return (f"hf download REPO {shell(*files)} --local-dir {shell(where)} --force-download",)


def fetch_pointer(checkpoint: Checkpoint, file: str) -> tuple[str, ...]:
    """The commands that replace every git-lfs pointer of the checkpoint, `file` among them."""
    pointers = [item.name for item in checkpoint.files if item.format == "lfs_pointer"]
    pointers += [name for name, item in checkpoint.json_files.items() if _is_pointer(item)]
    names = list(dict.fromkeys([file, *pointers]))[:50]
    return (
        shell("git", "-C", str(checkpoint.root), "lfs", "pull", f"--include={','.join(names)}"),
        *fetch_again(checkpoint, *names),
    )


def _is_pointer(document: JsonFile) -> bool:
    return document.problem is not None and document.problem.code == "lfs-pointer-json"


def copy_again(checkpoint: Checkpoint, *files: str) -> tuple[str, ...]:
    """The command that copies a directory's files again, with checksums, from where they came from."""
    named = " ".join(f"--include={shell(file)}" for file in files)
    return (
        f"rsync -avP --checksum SOURCE/ {shell(str(checkpoint.root))}/  # {shell(*files)} is what differs",
        f"kagglehub.model_download('HANDLE', force_download=True), or: git lfs pull {named}",
    )


def python_command(code: str, *arguments: str) -> str:
    """`python -c '…' ARGUMENTS`, with double quotes in the code where that keeps the shell's quoting readable."""
    if '"' not in code:
        code = code.replace("'", '"')
    return shell("python", "-c", code, *arguments)


def edit_json(checkpoint: Checkpoint, change: str, name: str = "config.json") -> str:
    """The command that changes a JSON file of the checkpoint, when the user runs it; `change` is Python on `c`."""
    code = f"import json, sys; p = sys.argv[1]; c = json.load(open(p)); {change}; json.dump(c, open(p, 'w'), indent=2)"
    return python_command(code, str(checkpoint.root / name))
