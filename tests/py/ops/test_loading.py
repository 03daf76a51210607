"""Settings, roles, critics and datasets: what is loaded, in which order, and what a failure leaves behind."""

import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch

from py_worker.ops import configure
from py_worker.protocol_gen import LoadRoleArgs
from py_worker.rollout.engine import AUTO, ENGINES, select_engine
from tests.py.ops.local_worker import LocalWorker, on_a_cpu_alone
from tests.py.ops.scene import (
    ADAMW,
    ROWS,
    critic_spec,
    data_source,
    load_everything,
    load_student,
    load_teacher,
    model,
)


def configured(worker: LocalWorker, **changes: Any) -> LocalWorker:
    worker.call("configure", **{**worker.settings, **changes})
    return worker


def load_role(**changes: Any) -> dict[str, Any]:
    return {"role": "student", "model": model(2), "gradient_checkpointing": False, **changes}


@on_a_cpu_alone
def test_configure_says_what_it_set(empty: LocalWorker) -> None:
    result = empty.call("configure", **empty.settings)
    assert result == {"device": "cpu", "threads": 1}
    assert empty.session.configured().position_chunk is None
    assert configured(empty, position_chunk=7).session.configured().position_chunk == 7
    assert empty.session.configured().loss_form == "auto"
    assert configured(empty, loss_form="plain").session.configured().loss_form == "plain"


@on_a_cpu_alone
def test_a_form_of_the_losses_that_cannot_run_is_refused(
    empty: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    error = empty.error("configure", **{**empty.settings, "loss_form": "triton"})
    assert error["code"] == "invalid_argument"
    assert re.match("loss_form: the form triton needs .*: use fused", error["message"])
    assert empty.session.settings is None


def test_auto_takes_the_best_device(empty: LocalWorker) -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert empty.call("configure", **{**empty.settings, "device": "auto"})["device"].startswith(expected)


@pytest.mark.parametrize("device", ["gpu", "cuda:77", "meta"])
def test_a_device_that_is_not_there_is_refused(empty: LocalWorker, device: str) -> None:
    error = empty.error("configure", **{**empty.settings, "device": device})
    assert error["code"] == "invalid_argument"
    assert device in error["message"]
    assert empty.session.settings is None


def test_operations_need_settings(empty: LocalWorker) -> None:
    assert empty.error("load_role", **load_role())["code"] == "not_loaded"


def test_a_role_describes_itself(empty: LocalWorker) -> None:
    configured(empty)
    teacher, student = load_teacher(empty), load_student(empty)
    assert (teacher["hidden_size"], student["hidden_size"]) == (24, 16)
    assert student["layers"] == 2
    assert student["vocabulary"] == teacher["vocabulary"] == 99
    assert student["architecture"] == "LlamaForCausalLM"
    assert student["tokenizer_hash"] == teacher["tokenizer_hash"]
    assert student["eos_ids"] == [1]
    assert student["engine"] in ("native", "forward")
    module = empty.session.role("student").policy.module
    assert student["parameters"] == sum(p.numel() for p in module.parameters())
    assert empty.session.role("teacher").optimizer is None


def test_a_student_may_start_from_layers_of_its_teacher(empty: LocalWorker, tmp_path: Path) -> None:
    configured(empty)
    load_teacher(empty)
    empty.call("export", role="teacher", dir=str(tmp_path / "model"))
    source = {"source": str(tmp_path / "model"), "init": "layers", "layers": [1], "seed": 0}
    spec = {**source, "dtype": "float32", "trust_remote_code": False}
    result = empty.call("load_role", **load_role(model=spec, optimizer=ADAMW))
    assert (result["layers"], result["hidden_size"]) == (1, 24)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"model": {**model(2), "source": "builtin:gpt"}}, "model_error", "builtin:llama"),
        ({"model": {**model(2), "source": "/nowhere/at/all"}}, "model_error", "/nowhere/at/all"),
        ({"model": {**model(2), "init": "pretrained"}}, "model_error", "random"),
        ({"role": "teacher", "optimizer": ADAMW}, "invalid_argument", "optimizer"),
    ],
)
def test_a_role_that_cannot_be_loaded(
    empty: LocalWorker, changes: dict[str, Any], code: str, words: str
) -> None:
    configured(empty)
    error = empty.error("load_role", **load_role(**changes))
    assert (error["code"], error["applied"]) == (code, False)
    assert words in error["message"]
    assert empty.session.roles == {}
    load_student(empty)


HALF = {**model(2), "dtype": "float32", "compute_dtype": "bfloat16"}


@pytest.mark.parametrize(
    ("precision", "words"),
    [
        ({"dtype": "bfloat16"}, "model.dtype: bfloat16"),
        ({"dtype": "float16"}, "model.dtype: float16"),
        ({"dtype": "bfloat16", "compute_dtype": "float32"}, "model.dtype: bfloat16"),
    ],
)
def test_half_precision_weights_are_not_trained(
    empty: LocalWorker, precision: dict[str, str], words: str
) -> None:
    configured(empty)
    args = load_role(model={**model(2), **precision})
    error = empty.error("load_role", **args, optimizer=ADAMW)
    assert (error["code"], error["applied"]) == ("unsupported", False)
    assert words in error["message"]
    assert "dtype: float32 with compute_dtype: bfloat16" in error["message"]
    empty.call("load_role", **args)


def test_matrix_products_may_have_another_dtype(empty: LocalWorker) -> None:
    configured(empty)
    empty.call("load_role", **load_role(model=HALF, optimizer=ADAMW))
    policy = empty.session.role("student").policy
    assert (policy.dtype, policy.compute_dtype) == (torch.float32, torch.bfloat16)


def test_the_order_of_loading_is_held(empty: LocalWorker) -> None:
    configured(empty)
    load_student(empty)
    assert "loaded already" in empty.error("load_role", **load_role())["message"]
    assert "before the student" in empty.error("load_role", **load_role(role="teacher"))["message"]


def test_a_student_that_is_loaded_cuts_its_teacher_and_one_that_fails_does_not(
    empty: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(empty)
    load_teacher(empty)
    teacher = empty.session.role("teacher").policy
    size = teacher.vocab_size
    monkeypatch.setattr("py_worker.models.loading.load.shared_vocabulary", lambda *_: size - 3)

    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("py_worker.ops.load_role.select_engine", fail)
        assert empty.error("load_role", **load_role())["code"] == "out_of_memory"
    assert teacher.vocab_size == size
    assert load_student(empty)["vocabulary"] == teacher.vocab_size == size - 3


def test_engines_are_those_of_the_contract() -> None:
    [names] = [get_args(a) for a in get_args(get_type_hints(LoadRoleArgs)["engine"]) if get_args(a)]
    assert names == (AUTO, *ENGINES)


def test_an_engine_can_be_asked_for_and_draws_mixtures_too(empty: LocalWorker, monkeypatch: Any) -> None:
    configured(empty)
    load_teacher(empty)
    assert empty.call("load_role", **load_role())["engine"] == "native"
    empty.call("reset")
    load_teacher(empty)
    assert empty.call("load_role", **load_role(engine="forward"))["engine"] == "forward"
    empty.call("register_data", dataset="d", source=data_source(limit=2))
    asked = []

    def record(*policies: Any, name: str) -> Any:
        asked.append((len(policies), name))
        return select_engine(*policies, name=name)

    monkeypatch.setattr("py_worker.ops.support.rollout_source.select_engine", record)
    draw = {"role": "student", "dataset": "d", "rows": [0, 1], "sample_ids": [0, 1], "seed": 3}
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 3}
    sampling |= {"no_repeat_ngram_size": 0, "suppress_eos": False}
    empty.call("generate", **draw, sampling=sampling, mixture=0.5, out="step:0/r")
    assert asked == [(2, "forward")]


def test_an_engine_that_cannot_serve_is_refused_with_the_reason(empty: LocalWorker, monkeypatch: Any) -> None:
    monkeypatch.setattr("py_worker.rollout.vllm_engine.importlib.util.find_spec", lambda _: None)
    configured(empty)
    error = empty.error("load_role", **load_role(engine="vllm"))
    assert error["code"] == "unsupported"
    assert "vllm is not installed" in error["message"]
    assert not empty.session.roles


def test_critics_have_their_own_parameters(worker: LocalWorker) -> None:
    found = worker.call("load_critic", critic="third", spec=critic_spec(head="linear"), optimizer=ADAMW)
    assert found["parameters"] == 24 * 99 + 99


@pytest.mark.parametrize(
    ("critic", "spec", "words"),
    [
        ("third", critic_spec(head="transformer"), "bilinear"),
        ("third", critic_spec(bound_value=0), "positive"),
        ("off", critic_spec(), "loaded already"),
        ("../third", critic_spec(), "letters"),
    ],
)
def test_a_critic_that_cannot_be_made(worker: LocalWorker, critic: str, spec: Any, words: str) -> None:
    error = worker.error("load_critic", critic=critic, spec=spec, optimizer=ADAMW)
    assert error["code"] == "invalid_argument"
    assert words in error["message"]
    assert set(worker.session.critics) == {"off", "on"}


def test_a_critic_needs_both_roles(empty: LocalWorker) -> None:
    configured(empty)
    load_teacher(empty)
    error = empty.error("load_critic", critic="off", spec=critic_spec(), optimizer=ADAMW)
    assert error["code"] == "not_loaded"
    assert "student" in error["message"]


def test_data_describes_itself(worker: LocalWorker) -> None:
    first = worker.call("register_data", dataset="again", source=data_source())
    assert first["rows"] == ROWS
    assert sum(first["groups"].values()) == ROWS
    assert first["bad_lines"] == 0
    dataset = worker.session.dataset("again")
    assert first["prompt_tokens"] == sum(len(dataset.row(i).prompt) for i in range(ROWS))
    assert first["response_tokens"] == sum(len(dataset.row(i).response) for i in range(ROWS))
    second = worker.call("register_data", dataset="other seed", source=data_source(seed=6))
    assert second["content_hash"] != first["content_hash"]


def test_data_that_cannot_be_read(worker: LocalWorker, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}\n{"instruction": 3}\n')
    error = worker.error("register_data", dataset="bad", source=data_source(source=str(path)))
    assert error["code"] == "data_error"
    assert f"{path}, line 2" in error["message"]
    good = worker.call(
        "register_data", dataset="bad", source=data_source(source=str(path), skip_bad_lines=True)
    )
    assert (good["rows"], good["bad_lines"]) == (1, 1)
    assert (
        "registered already" in worker.error("register_data", dataset="bad", source=data_source())["message"]
    )


def test_data_with_a_token_that_the_student_does_not_know(worker: LocalWorker) -> None:
    worker.session.role("student").policy.limit_vocabulary(40)
    error = worker.error("register_data", dataset="beyond", source=data_source())
    assert error["code"] == "data_error"
    assert re.match(r"row \d+ .* and the model knows 40 tokens", error["message"])


def test_data_needs_a_tokenizer(empty: LocalWorker) -> None:
    configured(empty)
    assert empty.error("register_data", dataset="x", source=data_source())["code"] == "not_loaded"


def test_reset_may_keep_the_teacher_with_all_its_tokens(
    empty: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(empty)
    load_teacher(empty)
    teacher = empty.session.role("teacher").policy
    size = teacher.vocab_size
    with monkeypatch.context() as patch:
        patch.setattr("py_worker.models.loading.load.shared_vocabulary", lambda *_: size - 3)
        load_student(empty)
    assert teacher.vocab_size == size - 3
    empty.call("reset", keep_teacher=True)
    assert list(empty.session.roles) == ["teacher"]
    assert empty.session.role("teacher").policy is teacher
    assert teacher.vocab_size == size
    assert load_student(empty)["vocabulary"] == size
    empty.call("reset")
    assert "teacher" in empty.error("reset", keep_teacher=True)["message"]


def test_reset_frees_everything_but_the_settings(worker: LocalWorker) -> None:
    worker.call("reset")
    session = worker.session
    assert not (session.roles or session.critics or session.datasets)
    assert session.settings is not None
    load_everything(worker)


@on_a_cpu_alone
def test_the_device_is_fixed_while_models_are_loaded(worker: LocalWorker, monkeypatch: Any) -> None:
    monkeypatch.setattr(configure, "gpu_names", lambda: ["a GPU"])
    error = worker.error("configure", **{**worker.settings, "device": "cuda:0"})
    assert "reset" in error["message"]
    worker.call("configure", **{**worker.settings, "position_chunk": 3})


def test_threads_are_the_users_or_the_containers_share(
    empty: LocalWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_to: list[int] = []
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    monkeypatch.setattr("py_worker.session.cores._QUOTA", tmp_path / "cpu.max")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    for threads in (0, 3, 8):
        empty.call("configure", **{**empty.settings, "threads": threads})
    assert set_to == [2, 3, 8]


@on_a_cpu_alone
def test_offloading_on_a_cpu_is_told_to_do_nothing(empty):
    empty.call("configure", **empty.settings)
    result = empty.call(
        "load_role", role="teacher", model=model(1), gradient_checkpointing=False, offload=True
    )
    assert any("Offloading has no effect" in note for note in result["notes"])
    assert not empty.session.roles["teacher"].policy.is_offloaded


def test_what_is_trained_is_not_offloaded(empty):
    empty.call("configure", **empty.settings)
    student = {"role": "student", "model": model(1), "optimizer": ADAMW, "gradient_checkpointing": False}
    error = empty.error("load_role", **student, offload=True)
    assert error["code"] == "invalid_argument" and "offload" in error["message"]
