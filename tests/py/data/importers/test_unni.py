from pathlib import Path

import pytest

from py_worker.data.importers import unni
from tests.py.data.importers.scene import LONG_ANSWER, SHORT_ANSWER, counts_of, do_import, jsonl, rows_of


def published(number: int, *answers: str) -> dict[str, object]:
    instances = [
        {
            "instruction_with_input": f"Do {number}. with",
            "input": f"i{index}",
            "constraints": "None.",
            "output": text,
        }
        for index, text in enumerate(answers)
    ]
    return {"instruction": f"Do {number}.", "instances": instances}


def test_long_answers_are_kept(tmp_path: Path) -> None:
    source = jsonl(
        tmp_path / "core_data.jsonl",
        [published(0, SHORT_ANSWER, LONG_ANSWER), published(1, ""), published(2, LONG_ANSWER)],
    )
    imported = do_import("unni", source, tmp_path / "out")
    assert rows_of(tmp_path / "out", "test") == [
        {"id": "0-1", "instruction": "Do 0.", "input": "i1", "output": [LONG_ANSWER]},
        {"id": "2-0", "instruction": "Do 2.", "input": "i0", "output": [LONG_ANSWER]},
    ]
    assert imported.dropped["answer under 11 words"] == 2
    assert "expected 68,478 instances and found 4" in imported.notes[0]


def test_of_many_some_are_chosen_by_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(unni, "_ROWS", 10)
    source = jsonl(tmp_path / "core_data.jsonl", [published(n, LONG_ANSWER) for n in range(50)])
    chosen = []
    for seed in (0, 0, 1):
        folder = tmp_path / f"out-{len(chosen)}"
        imported = do_import("unni", source, folder, seed=seed)
        assert counts_of(imported) == {"test": 10}
        assert imported.dropped["not among the 10,000 chosen"] == 40
        chosen.append([int(row["id"].split("-")[0]) for row in rows_of(folder, "test")])
    assert chosen[0] == chosen[1] == sorted(chosen[0])
    assert chosen[0] != chosen[2]
    assert chosen[0] != list(range(10))


def test_published_rows_in_our_columns(tmp_path: Path) -> None:
    source = jsonl(
        tmp_path / "11_" / "valid.jsonl", [{"instruction": "a", "input": "", "output": LONG_ANSWER}]
    )
    assert counts_of(do_import("unni", str(Path(source).parent), tmp_path / "out")) == {"test": 1}
