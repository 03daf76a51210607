"""Checkpoints: bit for bit, all or nothing, and written while training goes on."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from py_worker.session import checkpoint_files
from py_worker.session.held import Rollout
from tests.py.ops.full_disk import full_disk
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import ADAMW, generate_args, load_everything, load_student, model, run_step

Files = list[dict[str, Any]]


def state_of(worker: LocalWorker) -> dict[str, Tensor]:
    """Every tensor that training changes."""
    session = worker.session
    role, optimizer = session.trained("student")
    state = {**dict(role.policy.module.named_parameters()), **optimizer.state_tensors()}
    for name, trained in session.critics.items():
        own = {**dict(trained.critic.named_parameters()), **trained.optimizer.state_tensors()}
        state |= {f"{name}/{key}": value for key, value in own.items()}
    return {name: value.detach().clone() for name, value in state.items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def save(worker: LocalWorker, folder: Path, name: str = "c") -> Files:
    folder.mkdir(exist_ok=True)
    staged = worker.call("stage_checkpoint", checkpoint=name, dir=str(folder))
    assert staged["bytes"] > 0
    files: Files = worker.call("commit_checkpoint", checkpoint=name)["files"]
    return files


def fresh(cache_dir: Path) -> LocalWorker:
    worker = LocalWorker(str(cache_dir))
    load_everything(worker)
    return worker


def test_a_restored_session_goes_on_as_if_nothing_had_happened(
    worker: LocalWorker, cache_dir: Path, tmp_path: Path
) -> None:
    for step in range(2):
        run_step(worker, step)
    worker.call("generate", **generate_args(1, "buffer/kept"))
    files = save(worker, tmp_path / "c")
    saved = state_of(worker)
    later = [run_step(worker, step) for step in range(2, 5)]
    end = state_of(worker)

    other = fresh(cache_dir)
    run_step(other, 9)  # a past of its own, and a handle of a step that never ended
    other.call("generate", **generate_args(3, "step:3/rollout"))
    other.call("generate", **generate_args(3, "buffer/other"))
    assert other.call("restore", dir=str(tmp_path / "c"), files=files)["policy_version"] == 2
    assert same(saved, state_of(other))
    assert other.session.role("student").version == 2
    assert list(other.session.handles.items("buffer")) == ["buffer/kept"]
    assert other.session.handles.items("step") == {}
    assert [run_step(other, step) for step in range(2, 5)] == later
    assert same(end, state_of(other))
    other.close()


def test_rollouts_come_back_as_they_were(worker: LocalWorker, cache_dir: Path, tmp_path: Path) -> None:
    worker.call("generate", **generate_args(1, "buffer/kept"))
    worker.call("generate", **generate_args(2, "session/fixed"))
    empty_rollout = {**generate_args(1, "buffer/empty"), "rows": [], "sample_ids": []}
    worker.call("generate", **empty_rollout)
    files = save(worker, tmp_path / "c")
    other = fresh(cache_dir)
    other.call("generate", **generate_args(3, "session/old"))
    other.call("restore", dir=str(tmp_path / "c"), files=files)
    assert list(other.session.handles.items("session")) == ["session/fixed"]
    for name in ("buffer/kept", "buffer/empty", "session/fixed"):
        expected = worker.session.handles.get(name, Rollout)
        found = other.session.handles.get(name, Rollout)
        assert found.sample_ids == expected.sample_ids
        assert found.ended == expected.ended
        assert found.policy_version == expected.policy_version
        for field in ("prompts", "tokens", "log_probs"):
            rows = zip(getattr(found, field), getattr(expected, field), strict=True)
            assert all(a.dtype == b.dtype and a.tolist() == b.tolist() for a, b in rows)
        assert other.session.handles.size_of(name) == worker.session.handles.size_of(name)
    expected_texts = worker.call("fetch", rollout="buffer/kept")["texts"]
    assert other.call("fetch", rollout="buffer/kept")["texts"] == expected_texts
    other.close()


def test_rollouts_over_the_budget_change_nothing(
    worker: LocalWorker, cache_dir: Path, tmp_path: Path
) -> None:
    run_step(worker, 0)
    for step in (1, 2):
        worker.call("generate", **generate_args(step, f"buffer/{step}"))
    files = save(worker, tmp_path / "c")
    bytes_kept = sum(worker.session.handles.size_of(f"buffer/{step}") for step in (1, 2))
    other = fresh(cache_dir)
    other.call("configure", **{**other.settings, "buffer_budget_bytes": bytes_kept - 1})
    before = state_of(other)
    error = other.error("restore", dir=str(tmp_path / "c"), files=files)
    assert (error["code"], error["applied"]) == ("over_budget", False)
    assert f"{bytes_kept} bytes" in error["message"]
    assert same(before, state_of(other))
    assert other.session.role("student").version == 0
    other.call("configure", **{**other.settings, "buffer_budget_bytes": bytes_kept})
    for _ in range(2):  # what is held before counts for nothing
        other.call("restore", dir=str(tmp_path / "c"), files=files)
    other.close()


def test_a_session_before_its_first_step_can_be_saved(
    worker: LocalWorker, cache_dir: Path, tmp_path: Path
) -> None:
    files = save(worker, tmp_path / "c")
    expected = run_step(worker, 0)
    other = fresh(cache_dir)
    for step in range(2):
        run_step(other, step)
    other.call("restore", dir=str(tmp_path / "c"), files=files)
    assert run_step(other, 0) == expected
    other.close()


def test_the_files_are_safetensors_and_json_with_their_hashes(worker: LocalWorker, tmp_path: Path) -> None:
    run_step(worker, 0)
    folder = tmp_path / "c"
    files = save(worker, folder)
    assert {file["name"] for file in files} == {path.name for path in folder.iterdir()}
    for file in files:
        data = (folder / file["name"]).read_bytes()
        assert file["bytes"] == len(data)
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
        if file["name"].endswith(".safetensors"):
            load_file(folder / file["name"])
    state = json.loads((folder / "worker.json").read_text())
    assert state["policy_version"] == 1
    assert "teacher" not in " ".join(file["name"] for file in files)


def test_the_snapshot_is_taken_before_training_goes_on(
    worker: LocalWorker, cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is held back until a step has changed the weights, and other operations answer meanwhile."""
    run_step(worker, 0)
    saved = state_of(worker)
    go = threading.Event()
    write = checkpoint_files.write_snapshot

    def held_back(*args: Any) -> Any:
        assert go.wait(30)
        return write(*args)

    monkeypatch.setattr("py_worker.ops.stage_checkpoint.write_snapshot", held_back)
    worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    commit = worker.request("commit_checkpoint", checkpoint="c")
    run_step(worker, 1)
    assert not same(saved, state_of(worker))
    go.set()
    reply, _ = worker.reply(commit)
    other = fresh(cache_dir)
    other.call("restore", dir=str(tmp_path), files=reply["result"]["files"])
    assert same(saved, state_of(other))
    other.close()


def test_a_disk_that_is_full_is_told_by_the_commit(worker: LocalWorker, tmp_path: Path) -> None:
    with full_disk():
        worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
        error = worker.error("commit_checkpoint", checkpoint="c")
    assert error["code"] == "checkpoint_error"
    assert "free some space" in error["message"]
    save(worker, tmp_path, "again")


def test_a_file_that_was_hashed_after_it_was_spoilt_cannot_be_read(
    worker: LocalWorker, tmp_path: Path
) -> None:
    folder = tmp_path / "c"
    files = save(worker, folder)
    target = folder / "student.safetensors"
    target.write_bytes(b"\xff" * 64)
    spoilt = {"name": target.name, "bytes": 64, "sha256": hashlib.sha256(b"\xff" * 64).hexdigest()}
    listed = [file for file in files if file["name"] != target.name] + [spoilt]
    error = worker.error("restore", dir=str(folder), files=listed)
    assert (error["code"], error["applied"]) == ("checkpoint_error", False)
    assert "cannot be read" in error["message"]


def test_staging_and_committing_go_in_pairs(worker: LocalWorker, tmp_path: Path) -> None:
    assert "not staged" in worker.error("commit_checkpoint", checkpoint="c")["message"]
    missing = str(tmp_path / "missing")
    assert "no such folder" in worker.error("stage_checkpoint", checkpoint="c", dir=missing)["message"]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        worker.call("stage_checkpoint", checkpoint=name, dir=str(tmp_path / name))
    assert "staged already" in worker.error("stage_checkpoint", checkpoint="a", dir=str(tmp_path))["message"]
    assert "a, b" in worker.error("stage_checkpoint", checkpoint="c", dir=str(tmp_path))["message"]
    for name in ("a", "b"):
        worker.call("commit_checkpoint", checkpoint=name)
    assert worker.error("commit_checkpoint", checkpoint="a")["code"] == "checkpoint_error"


def damage(folder: Path, files: Files, how: str) -> Files:
    """Spoils a checkpoint; returns what restore is asked for."""
    target = folder / "student.safetensors"
    match how:
        case "bit":
            data = bytearray(target.read_bytes())
            data[-1] ^= 1
            target.write_bytes(data)
        case "cut":
            target.write_bytes(target.read_bytes()[:-4])
        case "missing":
            target.unlink()
        case "not listed":
            return [file for file in files if file["name"] != "student.safetensors"]
        case "no state":
            return [file for file in files if file["name"] != "worker.json"]
        case "outside":
            return [*files, {"name": "../../etc/hostname", "bytes": 1, "sha256": "0" * 64}]
        case "format":
            state = folder / "worker.json"
            state.write_text(json.dumps({**json.loads(state.read_text()), "format": 99}))
            written = checkpoint_files.flush_and_hash(state, folder)
            changed = {"name": written.name, "bytes": written.bytes, "sha256": written.sha256}
            return [file for file in files if file["name"] != "worker.json"] + [changed]
    return files


@pytest.mark.parametrize("how", ["bit", "cut", "missing", "not listed", "no state", "outside", "format"])
def test_a_damaged_checkpoint_changes_nothing(worker: LocalWorker, tmp_path: Path, how: str) -> None:
    files = save(worker, tmp_path / "c")
    run_step(worker, 0)
    worker.call("generate", **generate_args(1, "buffer/mine"))
    before = state_of(worker)
    error = worker.error("restore", dir=str(tmp_path / "c"), files=damage(tmp_path / "c", files, how))
    assert (error["code"], error["applied"]) == ("checkpoint_error", False)
    assert same(before, state_of(worker))
    assert worker.session.role("student").version == 1
    assert list(worker.session.handles.items("buffer")) == ["buffer/mine"]
    run_step(worker, 1)


def test_a_checkpoint_of_another_model_is_refused(
    worker: LocalWorker, cache_dir: Path, tmp_path: Path
) -> None:
    run_step(worker, 0)
    files = save(worker, tmp_path / "c")
    other = LocalWorker(str(cache_dir))
    other.call("configure", **other.settings)
    other.call(
        "load_role", role="student", model=model(2, hidden=32), optimizer=ADAMW, gradient_checkpointing=False
    )
    error = other.error("restore", dir=str(tmp_path / "c"), files=files)
    assert error["code"] == "checkpoint_error"
    assert "critic.off" in error["message"]
    other.call("reset")
    load_student(other)
    only_student = save(other, tmp_path / "s")
    other.call("reset")
    other.call(
        "load_role", role="student", model=model(2, hidden=32), optimizer=ADAMW, gradient_checkpointing=False
    )
    error = other.error("restore", dir=str(tmp_path / "s"), files=only_student)
    assert "[99, 16]" in error["message"]
    assert "[99, 32]" in error["message"]
    other.close()


def test_moments_of_another_shape_are_refused(worker: LocalWorker, tmp_path: Path) -> None:
    run_step(worker, 0)
    folder = tmp_path / "c"
    files = save(worker, folder)
    path = folder / "critic.on.optimizer.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith("exp_avg"))
    save_file({**tensors, name: torch.zeros(3)}, path)
    written = checkpoint_files.flush_and_hash(path, folder)
    changed = {"name": written.name, "bytes": written.bytes, "sha256": written.sha256}
    before = state_of(worker)
    error = worker.error(
        "restore", dir=str(folder), files=[file for file in files if file["name"] != path.name] + [changed]
    )
    assert "moments" in error["message"]
    assert same(before, state_of(worker))


def test_the_loss_scale_of_float16_goes_on(cache_dir: Path, empty: LocalWorker, tmp_path: Path) -> None:
    def load(worker: LocalWorker) -> None:
        worker.call("configure", **worker.settings)
        spec = {**model(2), "compute_dtype": "float16"}
        worker.call("load_role", role="student", model=spec, optimizer=ADAMW, gradient_checkpointing=False)

    load(empty)
    scale = empty.session.trained("student")[1].loss_scale
    assert scale is not None
    scale.update(torch.ones(()))
    files = save(empty, tmp_path / "c")
    other = LocalWorker(str(cache_dir))
    load(other)
    other.call("restore", dir=str(tmp_path / "c"), files=files)
    restored = other.session.trained("student")[1].loss_scale
    assert restored is not None and restored.value == 32768.0
    other.close()
