"""A student with adapters through the loop: loading, dropout, checkpoints, exports."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from py_worker import ops
from py_worker.losses.scored import ScoredBatch
from tests.py.ops.local_worker import DEVICE, LocalWorker
from tests.py.ops.read_back import no_read_back
from tests.py.ops.scene import ADAMW, critic_spec, data_source, load_everything, load_teacher, model, run_step
from tests.py.ops.small_memory import logits_of_more_than, small_memory, times
from tests.py.ops.stepping import BATCH, prepare, same, student_step, weights

LORA = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": [], "seed": 5}


def load_adapted(worker: LocalWorker, source: Path | None = None, **lora: Any) -> Any:
    spec = model(2)
    if source is not None:
        spec = {**spec, "source": str(source), "init": "pretrained"}
        del spec["arch"]
    return worker.call(
        "load_role",
        role="student",
        model=spec,
        optimizer=ADAMW,
        gradient_checkpointing=False,
        lora={**LORA, **lora},
    )


def load_scene(worker: LocalWorker, source: Path | None = None, **lora: Any) -> Any:
    worker.call("configure", **worker.settings)
    load_teacher(worker)
    result = load_adapted(worker, source, **lora)
    load_data_and_critics(worker)
    return result


def load_data_and_critics(worker: LocalWorker) -> None:
    worker.call("register_data", dataset="train", source=data_source())
    for name, seed in (("off", 11), ("on", 12)):
        worker.call("load_critic", critic=name, spec=critic_spec(seed=seed), optimizer=ADAMW)


@pytest.fixture
def adapted(empty: LocalWorker) -> LocalWorker:
    load_scene(empty)
    return empty


@pytest.fixture
def other(cache_dir: Path) -> Iterator[LocalWorker]:
    worker = LocalWorker(str(cache_dir))
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def base(cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene's student as a model folder."""
    folder = tmp_path_factory.mktemp("base")
    worker = LocalWorker(str(cache_dir))
    worker.call("configure", **worker.settings)
    worker.call("load_role", role="student", model=model(2), gradient_checkpointing=False)
    worker.call("export", role="student", dir=str(folder))
    worker.close()
    return folder


def adapters(worker: LocalWorker) -> dict[str, Tensor]:
    return {name: value for name, value in weights(worker).items() if ".lora_" in name}


def logits(worker: LocalWorker, role: str = "student") -> Tensor:
    tokens = torch.arange(3, 20, device=DEVICE)[None]
    with torch.no_grad():
        return worker.session.role(role).policy.module(tokens).logits.cpu()


def test_it_says_how_much_is_trained(empty: LocalWorker) -> None:
    result = load_scene(empty)
    # Rank 4 times inputs plus outputs of each of 2 layers: 16 wide, keys and values 8, MLP 32.
    one_layer = (16 + 16) + 2 * (16 + 8) + (16 + 16) + 3 * (16 + 32)
    assert result["trained_parameters"] == 2 * 4 * one_layer
    assert result["parameters"] == sum(p.numel() for p in weights(empty).values())
    assert result["architecture"] == "LlamaForCausalLM"
    assert result["engine"] == "native"


def test_all_are_trained_without_adapters(worker: LocalWorker) -> None:
    worker.call("reset")
    load_everything(worker)
    optimizer = worker.session.trained("student")[1]
    assert optimizer.size == sum(p.numel() for p in weights(worker).values())


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"role": "teacher", "lora": LORA}, "invalid_argument", "lora: only the student"),
        ({"lora": {**LORA, "targets": ["query"]}}, "model_error", "no layer is called 'query'"),
        ({"lora": {**LORA, "targets": ["lm_head"]}}, "unsupported", "output head"),
    ],
)
def test_adapters_that_cannot_be_made(empty: LocalWorker, changes: Any, code: str, words: str) -> None:
    empty.call("configure", **empty.settings)
    error = empty.error(
        "load_role", **{"role": "student", "model": model(2), "gradient_checkpointing": False, **changes}
    )
    assert error["code"] == code and words in error["message"]
    assert not empty.session.roles


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_half_precision_may_carry_adapters(empty: LocalWorker, dtype: str) -> None:
    empty.call("configure", **empty.settings)
    load_teacher(empty)
    spec = {**model(2), "dtype": dtype}
    args = {"role": "student", "model": spec, "optimizer": ADAMW, "gradient_checkpointing": False}
    assert empty.error("load_role", **args)["code"] == "unsupported"
    empty.call("load_role", **args, lora=LORA)
    load_data_and_critics(empty)
    before = weights(empty)
    metrics = [run_step(empty, step) for step in range(2)]
    assert all(math.isfinite(value) for step in metrics for value in step.values())
    assert ("loss_scale" in metrics[0]) == (dtype == "float16")
    moved = {name for name, value in weights(empty).items() if not torch.equal(value, before[name])}
    assert moved == set(adapters(empty))
    assert {matrix.dtype for matrix in adapters(empty).values()} == {torch.float32}


def test_the_preflight_holds_with_adapters(adapted: LocalWorker) -> None:
    run_step(adapted, 0)
    checks = adapted.call("preflight", dataset="train", rows=[0, 1, 2])["checks"]
    assert len(checks) > 4 and all(check["ok"] for check in checks)


def test_steps_move_the_adapters_alone(adapted: LocalWorker) -> None:
    before = weights(adapted)
    metrics = [run_step(adapted, step) for step in range(3)]
    after = weights(adapted)
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == set(adapters(adapted))
    assert metrics[0]["loss"] != metrics[2]["loss"]
    assert all(step["skipped"] == 0 for step in metrics)


@pytest.mark.parametrize("options", [{"micro_batch": 3}, {"graph": True}], ids=str)
def test_how_a_step_is_cut_changes_rounding_only(
    adapted: LocalWorker, other: LocalWorker, options: Any
) -> None:
    load_scene(other)
    for step in range(2):
        expected, found = run_step(adapted, step), run_step(other, step, **options)
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3, abs=1e-5)
    for name, value in adapters(adapted).items():
        torch.testing.assert_close(adapters(other)[name], value, rtol=2e-3, atol=2e-4)


def step_of(worker: LocalWorker, **changes: Any) -> dict[str, Tensor]:
    """The adapters after one step of the student on a fresh scene."""
    prepare(worker)
    worker.call("step_student", **student_step(**changes))
    return adapters(worker)


def test_dropout_is_the_step_s_alone_and_follows_from_its_seed(
    empty: LocalWorker, other: LocalWorker
) -> None:
    found = []
    for worker, changes in (
        (empty, {"dropout_seed": 3}),
        (other, {"dropout_seed": 3}),
        (empty, {"dropout_seed": 4}),
        (other, {}),
    ):
        worker.call("reset")
        load_scene(worker, dropout=0.5, seed=6)
        state = torch.get_rng_state()
        before = logits(worker)
        # B is 0 at first, so dropout shows from the second step on.
        step_of(worker, **changes)
        worker.call("end_step", step=0)
        found.append(step_of(worker, **changes))
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(logits(worker), logits(worker)) and not torch.equal(logits(worker), before)
    assert same(found[0], found[1])
    assert not same(found[0], found[2]) and not same(found[0], found[3])


def test_dropout_does_not_go_with_the_graph_of_scoring(adapted: LocalWorker) -> None:
    prepare(adapted, student="graph")
    before = weights(adapted)
    error = adapted.error("step_student", **student_step(dropout_seed=3))
    assert (error["code"], error["applied"]) == ("invalid_argument", False)
    assert "score it with student: values" in error["message"]
    assert same(before, weights(adapted))


def test_dropout_needs_adapters(worker: LocalWorker) -> None:
    prepare(worker)
    error = worker.error("step_student", **student_step(dropout_seed=3))
    assert error["code"] == "invalid_argument"
    assert "has no adapters" in error["message"]


def test_dropout_waits_for_no_device(empty: LocalWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    load_scene(empty, dropout=0.5)
    prepare(empty)
    run = ops.find("step_student")

    def watched(*args: Any) -> Any:
        with no_read_back():
            return run(*args)

    monkeypatch.setattr(ops, "find", lambda _: watched)
    assert empty.call("step_student", **student_step(batch=BATCH, dropout_seed=3))["policy_version"] == 1


def save(worker: LocalWorker, folder: Path) -> Any:
    folder.mkdir()
    worker.call("stage_checkpoint", checkpoint="c", dir=str(folder))
    return worker.call("commit_checkpoint", checkpoint="c")["files"]


def test_a_checkpoint_holds_the_adapters_alone_and_goes_on_bit_for_bit(
    adapted: LocalWorker, other: LocalWorker, tmp_path: Path
) -> None:
    for step in range(2):
        run_step(adapted, step)
    files = save(adapted, tmp_path / "c")
    saved = load_file(tmp_path / "c" / "student.safetensors")
    assert same(saved, {name: value.cpu() for name, value in adapters(adapted).items()})
    expected = [run_step(adapted, step) for step in range(2, 4)]
    load_scene(other, seed=99)
    other.call("restore", dir=str(tmp_path / "c"), files=files)
    assert [run_step(other, step) for step in range(2, 4)] == expected
    assert same(weights(adapted), weights(other))


def test_adapters_and_weights_do_not_fit_each_other(
    adapted: LocalWorker, other: LocalWorker, tmp_path: Path
) -> None:
    files = save(adapted, tmp_path / "c")
    load_everything(other)
    before = weights(other)
    error = other.error("restore", dir=str(tmp_path / "c"), files=files)
    assert error["code"] == "checkpoint_error"
    assert same(before, weights(other))


@pytest.mark.parametrize("lora", [True, False])
def test_a_student_alone_takes_its_part_of_a_checkpoint(
    empty: LocalWorker, other: LocalWorker, tmp_path: Path, lora: bool
) -> None:
    if lora:
        load_scene(empty)
    else:
        load_everything(empty)
    run_step(empty, 0)
    files = save(empty, tmp_path / "c")
    other.call("configure", **other.settings)
    adapters_too = {"lora": LORA} if lora else {}
    other.call("load_role", role="student", model=model(2), gradient_checkpointing=False, **adapters_too)
    assert other.call("restore", dir=str(tmp_path / "c"), files=files)["policy_version"] == 1
    assert same(weights(empty), weights(other))


def test_exports_merged_and_adapters_alone(empty: LocalWorker, base: Path, tmp_path: Path) -> None:
    load_scene(empty, base)
    start = logits(empty)
    for step in range(2):
        run_step(empty, step)
    expected, before = logits(empty), weights(empty)
    assert not torch.equal(start, expected)
    for form in ("merged", "adapter"):
        files = empty.call("export", role="student", dir=str(tmp_path / form), form=form)["files"]
        assert {file["name"] for file in files} == {path.name for path in (tmp_path / form).iterdir()}
    empty.call("export", role="student", dir=str(tmp_path / "default"))
    assert same(before, weights(empty)) and torch.equal(expected, logits(empty))
    tokens = torch.arange(3, 20)[None]
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(tokens).logits
        apart = peft.AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter")(tokens).logits
    torch.testing.assert_close(merged, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(apart, expected, rtol=1e-4, atol=1e-5)
    same_file = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("merged", "default")]
    assert same_file[0] == same_file[1]
    assert not (tmp_path / "adapter" / "model.safetensors").exists()


def test_adapters_may_be_a_teacher(empty: LocalWorker, base: Path, tmp_path: Path) -> None:
    load_scene(empty, base)
    run_step(empty, 0)
    expected = logits(empty)
    empty.call("export", role="student", dir=str(tmp_path / "adapter"), form="adapter")
    empty.call("reset")
    spec = {**model(0), "source": str(tmp_path / "adapter"), "init": "pretrained"}
    del spec["arch"]
    result = empty.call("load_role", role="teacher", model=spec, gradient_checkpointing=False)
    assert (result["trained_parameters"], result["engine"]) == (0, "native")
    torch.testing.assert_close(logits(empty, "teacher"), expected, rtol=1e-4, atol=1e-5)


def test_adapters_alone_are_refused_where_there_are_none(worker: LocalWorker, tmp_path: Path) -> None:
    error = worker.error("export", role="student", dir=str(tmp_path), form="adapter")
    assert error["code"] == "unsupported" and "form merged" in error["message"]
    assert list(tmp_path.iterdir()) == []


def test_dropout_after_running_out_of_memory_is_that_of_the_smaller_micro_batches(
    empty: LocalWorker, other: LocalWorker
) -> None:
    """Masks follow from the seed and the layout; a failed attempt draws none of them."""
    for worker, refusals in ((empty, 1), (other, 0)):
        load_scene(worker, dropout=0.5, seed=6)
        step_of(worker, dropout_seed=3)
        worker.call("end_step", step=0)
        prepare(worker)
        if not refusals:
            scored = worker.session.handles.get(BATCH, ScoredBatch)
            halved = replace(scored, batch=scored.batch.halved())
            worker.session.handles.replace(BATCH, halved, worker.session.handles.size_of(BATCH))
        with small_memory(times(refusals, logits_of_more_than(0)), "step_student"):
            worker.call("step_student", **student_step(dropout_seed=4))
    assert empty.session.halvings.micro_batch == 1
    assert same(adapters(empty), adapters(other))
