"""Small sources in the shapes that the datasets are published in, and imports of them."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from py_worker.data.importers.registry import IMPORTERS
from py_worker.data.importers.run import Imported, import_dataset

REAL_DATA = Path(os.environ.get("AMMD_TEST_DATA", "../shared/data")).resolve()
"""Where the real files are, on machines that have them: they are no part of the repository."""

LONG_ANSWER = "one two three four five six seven eight nine ten eleven"
SHORT_ANSWER = "one two three four five six seven eight nine ten"


def real(name: str) -> str:
    """A real file; the test is skipped where it is not."""
    if not (REAL_DATA / name).is_file():
        pytest.skip(f"{name} is not in {REAL_DATA} (AMMD_TEST_DATA)")
    return str(REAL_DATA / name)


def jsonl(path: Path, rows: Iterable[object]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


def do_import(name: str, source: str | None, folder: Path, **options: Any) -> Imported:
    return import_dataset(IMPORTERS[name], source, folder, **{"seed": 0, **options})


def rows_of(folder: Path, split: str) -> list[dict[str, Any]]:
    lines = (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def counts_of(imported: Imported) -> Mapping[str, int]:
    return {split: written.rows for split, written in imported.splits.items()}


def dolly_rows(count: int) -> Sequence[Mapping[str, str]]:
    """Of `databricks-dolly-15k.jsonl`."""
    return [
        {
            "instruction": f"What is {number}?",
            "context": f"A passage about {number}." if number % 3 == 0 else "",
            "response": f"It is {number} — one of the natural numbers.",
            "category": "closed_qa" if number % 3 == 0 else "open_qa",
        }
        for number in range(count)
    ]
