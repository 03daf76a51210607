"""What the benches send is what the contract takes, for every method and size."""

import msgspec
import pytest

from py_worker.server.codec import decode_args
from tests.bench.step_requests import Session, ahead_requests, load_requests, step_requests
from tests.bench.workload import ROWS, WORKLOADS, Place, Workload

METHODS = ("gkd", "gkd-ahead", "gkd-both", "ammd")
SESSION = Session("cpu", "bfloat16", 1)


def as_sent(requests: list[tuple[str, dict]]) -> dict[str, msgspec.Struct]:
    """Decoded by the worker's types; one of each operation and role."""
    decoded = {}
    for op, args in requests:
        key = f"{op} {args.get('role', args.get('critic', ''))}".strip()
        decoded[key] = decode_args(op, msgspec.Raw(msgspec.msgpack.encode(args)))
    return decoded


@pytest.mark.parametrize("method", METHODS)
def test_loading_names_the_files_and_the_precision(method: str, tmp_path) -> None:
    workload, place = WORKLOADS["tiny"], Place(tmp_path)
    sent = as_sent(load_requests(method, workload, place, SESSION))
    assert sent["configure"].threads == 1
    teacher, student = (sent[f"load_role {role}"].model for role in ("teacher", "student"))
    assert (teacher.source, teacher.dtype) == (str(place.teacher), "bfloat16")
    assert (student.source, student.dtype, student.compute_dtype) == (
        str(place.student),
        "float32",
        "bfloat16",
    )
    source = sent["register_data"].source
    assert (source.source, source.max_prompt_tokens, source.max_tokens) == (str(place.data), 64, 128)
    assert ("load_critic on" in sent) == (method == "ammd")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [2, 8, 32])
def test_a_step_has_its_number_and_its_rows(method: str, batch: int) -> None:
    workload: Workload = WORKLOADS["tiny"].scaled(batch=batch, new_tokens=5)
    sent = as_sent(step_requests(method, workload, 700))
    generate, build = sent["generate student"], sent["build"]
    drawn = batch if method in ("gkd", "gkd-ahead") else batch // 2
    assert len(generate.rows) == len(set(generate.sample_ids)) == drawn
    assert all(row < ROWS for row in generate.rows)
    assert generate.sampling.max_new_tokens == 5
    assert generate.out.startswith("buffer/mix.701" if method == "gkd-ahead" else "step:700/")
    assert sent["score"].batch == build.out == "step:700/batch"
    assert sent["end_step"].step == sent["step_student"].step == 700
    rows = {part.part: part.rows for part in build.parts}
    assert [len(rows["off"])] == [batch // 2] if "off" in rows else method in ("gkd", "gkd-ahead")
    assert not sent["step_student"].diagnostics


def test_what_is_drawn_ahead_is_learned_from_in_the_next_step() -> None:
    workload = WORKLOADS["tiny"]
    (first,) = ahead_requests("gkd-ahead", workload, 0)
    steps = [as_sent(step_requests("gkd-ahead", workload, number)) for number in range(3)]
    drawn = [first[1]["out"], *(step["generate student"].out for step in steps)]
    for handle, step in zip(drawn, steps, strict=False):
        assert [part.rollout for part in step["build"].parts] == step["drop"].handles == [handle]
    assert len(set(drawn)) == 4 and first[1]["background"]
    assert ahead_requests("gkd", workload, 5) == []


def test_steps_draw_other_rows_under_other_sample_ids() -> None:
    first, second = (as_sent(step_requests("gkd", WORKLOADS["tiny"], n))["generate student"] for n in (0, 1))
    assert set(first.sample_ids).isdisjoint(second.sample_ids)
    assert set(first.rows).isdisjoint(second.rows)
