"""A session with tiny builtin models and built-in tasks, and the requests of one AMMD step."""

from typing import Any

from tests.py.ops.local_worker import LocalWorker

ADAMW = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.01}
SAMPLING = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "max_new_tokens": 6,
    "no_repeat_ngram_size": 0,
    "suppress_eos": False,
}
ROWS = 40


LLAMA, T5 = "builtin:llama", "builtin:t5"


def model(seed: int, hidden: int = 16, source: str = LLAMA) -> dict[str, Any]:
    return {
        "source": source,
        "init": "random",
        "arch": {
            "hidden_size": hidden,
            "layers": 2,
            "heads": 2,
            "kv_heads": 2 if source == T5 else 1,
            "intermediate_size": 2 * hidden,
            "max_positions": 128,
            "tie_embeddings": True,
        },
        "seed": seed,
        "dtype": "float32",
        "trust_remote_code": False,
    }


def data_source(**changes: Any) -> dict[str, Any]:
    return {
        "source": "builtin:microtasks",
        "split": "train",
        "template": "plain",
        "fields": {},
        "max_prompt_tokens": 80,
        "max_tokens": 110,
        "limit": ROWS,
        "validation_fraction": 0.0,
        "seed": 5,
        "skip_bad_lines": False,
        **changes,
    }


def critic_spec(**changes: Any) -> dict[str, Any]:
    return {
        "head": "bilinear",
        "features": "teacher",
        "hidden_size": 16,
        "bound": "tanh",
        "bound_value": 1.0,
        "seed": 11,
        **changes,
    }


def load_student(worker: LocalWorker, seed: int = 2, source: str = LLAMA) -> Any:
    return worker.call(
        "load_role",
        role="student",
        model=model(seed, source=source),
        optimizer=ADAMW,
        gradient_checkpointing=False,
    )


def load_teacher(worker: LocalWorker, seed: int = 1, source: str = LLAMA) -> Any:
    return worker.call(
        "load_role", role="teacher", model=model(seed, hidden=24, source=source), gradient_checkpointing=False
    )


def load_everything(worker: LocalWorker, source: str = LLAMA) -> None:
    worker.call("configure", **worker.settings)
    load_teacher(worker, source=source)
    load_student(worker, source=source)
    worker.call("register_data", dataset="train", source=data_source())
    for name, seed in (("off", 11), ("on", 12)):
        worker.call("load_critic", critic=name, spec=critic_spec(seed=seed), optimizer=ADAMW)


def term(name: str, objective: str, part: str, weight: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"name": name, "objective": objective, "part": part, "weight": weight, "params": {}, **more}


AMMD_TERMS = [
    term("off", "moment", "off", 0.5, critic="off"),
    term("on", "moment", "on", 0.5, critic="on"),
    term("kd", "forward_kl", "off", 0.1),
]


def rows_of_step(step: int, count: int = 4) -> list[int]:
    return [(step * count + index) % ROWS for index in range(count)]


def generate_args(step: int, out: str) -> dict[str, Any]:
    rows = rows_of_step(step)
    return {
        "out": out,
        "role": "student",
        "dataset": "train",
        "rows": rows,
        "sample_ids": [1000 * step + row for row in rows],
        "sampling": SAMPLING,
        "seed": 7,
    }


def build_args(step: int, out: str, rollout: str, **limits: Any) -> dict[str, Any]:
    off = {"part": "off", "dataset": "train", "rows": rows_of_step(step)}
    return {"out": out, "parts": [off, {"part": "on", "rollout": rollout}], **limits}


def step_requests(
    step: int, *, turns: int = 2, graph: bool = False, diagnostics: bool = True, **limits: Any
) -> list[tuple[str, dict[str, Any]]]:
    """One AMMD step as the controller sends it; `limits` are of its micro-batches."""
    rollout, batch = f"step:{step}/rollout", f"step:{step}/batch"
    critic_step = {
        "step": step,
        "batch": batch,
        "updates": [{"critic": "off", "part": "off"}, {"critic": "on", "part": "on"}],
        "lr": 1e-2,
        "clip_norm": 1.0,
        "diagnostics": diagnostics,
    }
    student_step = {
        "step": step,
        "batch": batch,
        "terms": AMMD_TERMS,
        "lr": 2e-3,
        "clip_norm": 1.0,
        "diagnostics": diagnostics,
    }
    score = {"batch": batch, "teacher": True, "student": "graph" if graph else "values"}
    return [
        ("generate", generate_args(step, rollout)),
        ("build", build_args(step, batch, rollout, **limits)),
        ("score", score),
        *(("step_critic", {**critic_step, "turn": turn}) for turn in range(turns)),
        ("step_student", student_step),
        ("end_step", {"step": step}),
    ]


def run_step(worker: LocalWorker, step: int, **options: Any) -> dict[str, float]:
    """Runs a step and returns its metrics."""
    results = [worker.call(op, **args) for op, args in step_requests(step, **options)]
    metrics: dict[str, float] = results[-1]["metrics"]
    return metrics
