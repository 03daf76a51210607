"""What the worker does on a GPU alone. The rest of its tests run there too (tests/py/ops)."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from py_worker.losses import rehearsal
from py_worker.rollout import kv_cache
from py_worker.rollout.graph_engine import GraphEngine
from py_worker.rollout.step_runner import GraphSteps, Step
from py_worker.server.completion import CudaCompletion
from py_worker.session.background import CudaSideStream
from tests.pretend_cuda.tensor import MEMORY
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import (
    ADAMW,
    LLAMA,
    T5,
    critic_spec,
    data_source,
    generate_args,
    load_everything,
    load_student,
    model,
    run_step,
    step_requests,
)
from tests.py.ops.test_background_rollouts import AHEAD, background_args, responses
from tests.py.ops.test_predict_memory import planned, predict, rollout, stubborn_backward


@pytest.fixture
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorker]:
    local = LocalWorker(str(tmp_path_factory.mktemp("cache")))
    yield local
    local.close()


@pytest.fixture(params=[LLAMA, T5])
def loaded(worker: LocalWorker, request: pytest.FixtureRequest) -> LocalWorker:
    load_everything(worker, request.param)
    return worker


def test_everything_is_on_it(loaded: LocalWorker) -> None:
    assert loaded.call("configure", **loaded.settings)["device"] == "cuda:0 a pretended GPU"
    run_step(loaded, 0)
    for role in loaded.session.roles.values():
        assert all(tensor.is_cuda for tensor in role.policy.module.state_dict().values())
    assert isinstance(loaded._loop._completion, CudaCompletion)
    memory = loaded.call("report_memory")
    assert 0 < memory["device_bytes"] <= memory["peak_device_bytes"]


def test_attention_is_not_cudnn_s(worker: LocalWorker) -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    worker.call("configure", **worker.settings)
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_float32_is_float32(worker: LocalWorker) -> None:
    """Images of NVIDIA's set a variable by which torch begins with TF32."""
    torch.set_float32_matmul_precision("high")
    worker.call("configure", **worker.settings)
    assert torch.get_float32_matmul_precision() == "highest"


def test_passes_in_float32_repeat_grouped_heads(worker: LocalWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel takes them, and torch's own formula keeps all scores."""
    grouped: list[bool] = []
    attention = functional.scaled_dot_product_attention

    def watched(query: Tensor, key: Tensor, *args: Any, **options: Any) -> Tensor:
        grouped.append(bool(options.get("enable_gqa")) or query.shape[1] != key.shape[1])
        return attention(query, key, *args, **options)

    load_everything(worker, LLAMA)
    monkeypatch.setattr(functional, "scaled_dot_product_attention", watched)
    run_step(worker, 0)
    config = worker.session.role("student").policy.module.config
    assert config.num_key_value_heads < config.num_attention_heads
    assert grouped and not any(grouped)


def test_what_names_no_device_goes_to_the_worker_s(
    worker: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several GPUs."""
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    for name in ("cuda:1", "cuda", "cpu"):
        worker.call("configure", **{**worker.settings, "device": name})
    # Each twice: of the thread of operations, and of that which waits for them.
    assert Counter(current) == {torch.device("cuda:1"): 2, torch.device("cuda:0"): 2}


def test_a_gpu_that_others_have_for_themselves_is_refused(
    worker: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_: torch.device) -> None:
        raise RuntimeError("CUDA-capable device(s) is/are busy or unavailable")

    monkeypatch.setattr(torch.cuda, "set_device", busy)
    refused = worker.error("configure", **worker.settings)
    assert (refused["code"], refused["applied"]) == ("unsupported", False)
    assert refused["message"].startswith("device: cuda:0 cannot be used: CUDA-capable device(s)")


def test_prompts_of_grouped_heads_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel takes them grouped, so they go there one by one."""
    asked = []
    attend = kv_cache.F.scaled_dot_product_attention

    def noted(queries: Tensor, keys: Tensor, values: Tensor, **options: Any) -> Tensor:
        asked.append((keys.shape[1], options["enable_gqa"]))
        return attend(queries, keys, values, **options)

    monkeypatch.setattr(kv_cache.F, "scaled_dot_product_attention", noted)
    torch.manual_seed(0)
    queries, keys, values = torch.randn(2, 3, 2, 5, 4), torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4)
    here = kv_cache._causal_sdpa(queries, keys, values)
    there = kv_cache._causal_sdpa(*(part.to("cuda:0") for part in (queries, keys, values)))
    kv_cache._causal_sdpa(*(part.to("cuda:0", torch.bfloat16) for part in (queries, keys, values)))
    torch.testing.assert_close(there.cpu(), here)
    assert asked == [(3, True), (6, False), (3, True)]


def test_graphs_draw_what_steps_draw(loaded: LocalWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    args = {"rows": list(range(12)), "sample_ids": list(range(12))}
    loaded.call("generate", **generate_args(0, "buffer/steps") | args)
    captured, capture = [], GraphSteps._capture

    def noted(self: GraphSteps, step: Step, *shape: int) -> Callable[[], None]:
        captured.append(shape)
        return capture(self, step, *shape)

    monkeypatch.setattr(GraphSteps, "_capture", noted)
    loaded.session.role("student").engine = GraphEngine()
    loaded.call("generate", **generate_args(0, "buffer/graphs") | args)
    assert captured
    found, expected = responses(loaded, "buffer/graphs"), responses(loaded, "buffer/steps")
    assert found[:2] == expected[:2]
    assert found[2] == [pytest.approx(row, abs=1e-5) for row in expected[2]]


def test_rollouts_beside_training_have_a_stream(loaded: LocalWorker) -> None:
    loaded.call("generate", **background_args(1, AHEAD))
    background = loaded.session.background
    assert background is not None and isinstance(background._stream, CudaSideStream)
    assert all(tensor.is_cuda for tensor in background.policy.module.state_dict().values())


@pytest.mark.parametrize("source", [LLAMA, T5])
def test_an_offloaded_teacher_is_there_while_it_runs(worker: LocalWorker, source: str) -> None:
    worker.call("configure", **worker.settings)
    worker.call(
        "load_role",
        role="teacher",
        model=model(1, hidden=24, source=source),
        gradient_checkpointing=False,
        offload=True,
    )
    policy = worker.session.role("teacher").policy
    away = [p for p in policy.module.parameters() if not p.is_cuda]
    assert policy.is_offloaded and policy.head.rows.is_cuda and len(away) > 10
    load_student(worker, source=source)
    worker.call("register_data", dataset="train", source=data_source())
    for name, seed in (("off", 11), ("on", 12)):
        worker.call("load_critic", critic=name, spec=critic_spec(seed=seed), optimizer=ADAMW)
    metrics = run_step(worker, 0)
    assert [p for p in policy.module.parameters() if not p.is_cuda] == away
    # A mixture with it is not drawn beside training, so that there is no copy of the student to predict.
    worker.call("generate", **background_args(1, AHEAD, mixture=0.3))
    assert worker.session.background is None
    phases, _ = predict(worker, rollouts=[rollout(mixture=True, background=True)])
    assert "drawing" in phases and not any("second_student" in items for items in phases.values())
    resident = LocalWorker(worker.settings["cache_dir"])
    try:
        load_everything(resident, source)
        assert run_step(resident, 0) == metrics
    finally:
        resident.close()


def test_a_step_that_needs_numbers_is_taken_in_earnest(
    loaded: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = rehearsal.student_backward

    def needs_numbers(*args: Any, **kwargs: Any) -> Any:
        stubborn_backward()
        return backward(*args, **kwargs)

    expected, _ = predict(loaded)
    monkeypatch.setattr(rehearsal, "student_backward", needs_numbers)
    phases, result = predict(loaded)
    assert "missing" not in result
    assert phases["student"]["activations"] == pytest.approx(expected["student"]["activations"], rel=0.05)
    assert "overhead" in phases["student"]


def test_what_cannot_fit_is_not_tried_in_earnest(
    loaded: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 0))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 1000)
    phases, result = predict(loaded)
    assert result["available_bytes"] == 1000 < result["peak_bytes"]
    assert all("overhead" not in items for items in phases.values())


@pytest.mark.parametrize("source", [LLAMA, T5])
@pytest.mark.parametrize("compute_dtype", [None, "bfloat16"])
def test_the_predicted_peak_is_the_allocator_s(
    worker: LocalWorker, compute_dtype: str | None, source: str
) -> None:
    dtype = {} if compute_dtype is None else {"compute_dtype": compute_dtype}
    gc.collect()
    before = MEMORY.allocated
    worker.call("configure", **worker.settings)
    for role, hidden, more in (("teacher", 128, {}), ("student", 64, {"optimizer": ADAMW})):
        spec = {**model(1, hidden=hidden, source=source), **dtype}
        worker.call("load_role", role=role, model=spec, gradient_checkpointing=False, **more)
    worker.call("register_data", dataset="train", source=data_source())
    for name, seed in (("off", 11), ("on", 12)):
        worker.call("load_critic", critic=name, spec=critic_spec(seed=seed), optimizer=ADAMW)
    longest = longest_step(worker)
    MEMORY.reset_peak()
    for op, args in longest:
        worker.call(op, **args)
    measured = MEMORY.peak - before
    predicted = predict(worker)[1]["peak_bytes"]
    assert predicted == pytest.approx(measured, rel=0.15)


def longest_step(worker: LocalWorker) -> list[tuple[str, dict[str, Any]]]:
    """Of the rows that `predict_memory` reckons with, the dataset's longest."""
    lengths = worker.session.dataset("train").lengths()
    rows = sorted(range(len(lengths)), key=lambda row: -sum(lengths[row]))[:4]
    prompts = sorted(range(len(lengths)), key=lambda row: -lengths[row][0])[:4]
    requests = dict(step_requests(0, turns=1))
    sampling = {**requests["generate"]["sampling"], "max_new_tokens": 9, "suppress_eos": True}
    requests["generate"] |= {"rows": prompts, "sampling": sampling}
    requests["build"]["parts"][0]["rows"] = rows
    requests["build"]["micro_batch"] = planned()["micro_batch"]
    return list(requests.items())
