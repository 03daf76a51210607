"""A student as a folder of transformers."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.py.ops.full_disk import full_disk
from tests.py.ops.local_worker import DEVICE, LocalWorker
from tests.py.ops.scene import (
    model,
    run_step,
)


def test_an_exported_model_is_the_student(worker: LocalWorker, tmp_path: Path) -> None:
    run_step(worker, 0)
    folder = tmp_path / "new" / "student"
    files = worker.call("export", role="student", dir=str(folder))["files"]
    assert {file["name"] for file in files} == {p.name for p in folder.iterdir()}
    loaded = AutoModelForCausalLM.from_pretrained(folder).to(DEVICE)
    policy = worker.session.role("student").policy
    tokens = torch.arange(3, 20, device=DEVICE)[None]
    with torch.no_grad():
        assert torch.equal(loaded(tokens).logits, policy.module(tokens).logits)
    assert AutoTokenizer.from_pretrained(folder).decode([40, 41]) == policy.tokenizer.decode([40, 41])
    (folder / ".export-killed").mkdir()
    worker.call("export", role="student", dir=str(folder))
    assert {file["name"] for file in files} == {p.name for p in folder.iterdir()}
    worker.call("reset")
    spec = {**model(0), "source": str(folder), "init": "pretrained"}
    del spec["arch"]
    worker.call("load_role", role="student", model=spec, gradient_checkpointing=False)
    with torch.no_grad():
        again = worker.session.role("student").policy.module(tokens).logits
    assert torch.equal(again, loaded(tokens).logits.detach())


def test_a_folder_that_cannot_be_written_is_told(worker: LocalWorker, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    error = worker.error("export", role="student", dir=str(blocked / "student"))
    assert error["code"] == "model_error"
    assert str(blocked) in error["message"]
    assert worker.error("export", role="teacher", dir=str(blocked))["code"] == "model_error"


def test_an_export_to_a_full_disk_says_so(worker: LocalWorker, tmp_path: Path) -> None:
    with full_disk():
        error = worker.error("export", role="student", dir=str(tmp_path))
    assert (error["code"], error["applied"]) == ("model_error", False)
    assert "free some space" in error["message"]
    assert list(tmp_path.iterdir()) == []
    worker.call("export", role="student", dir=str(tmp_path))
