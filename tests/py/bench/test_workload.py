"""What is measured has the sizes that it is said to have."""

import json
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.bench.arithmetic import body_flops, head_flops, step_flops
from tests.bench.workload import WORKLOADS, Place, Shape, Workload, prepare

MICRO = Workload(Shape(16, 2, 4, 2, 24), Shape(24, 1, 2, 2, 40, tied=True), 32, 2, 6, 4)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(MICRO, Path(tmp_path_factory.mktemp("bench")) / "micro")


def test_sizes_are_those_that_are_compared() -> None:
    """6.3 M and 37.8 M; SmolLM2-135M has 134,515,008 parameters."""
    tiny, smollm2 = WORKLOADS["tiny"], WORKLOADS["smollm2"]
    assert round(tiny.student.parameters(tiny.vocab) / 1e6, 1) == 6.3
    assert round(tiny.teacher.parameters(tiny.vocab) / 1e6, 1) == 37.8
    assert smollm2.teacher.parameters(smollm2.vocab) == 134_515_008
    assert (smollm2.teacher.layers, smollm2.student.layers, smollm2.batch) == (30, 10, 4)


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_models_have_the_parameters_counted(place: Place, role: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(getattr(place, role))
    shape = getattr(MICRO, role)
    assert sum(p.numel() for p in model.parameters()) == shape.parameters(MICRO.vocab)
    assert model.config.vocab_size == len(AutoTokenizer.from_pretrained(place.student)) == MICRO.vocab


def test_every_row_has_one_length(place: Place) -> None:
    tokenizer = AutoTokenizer.from_pretrained(place.student)
    rows = [json.loads(line) for line in place.data.read_text().splitlines()]
    lengths = {
        tuple(len(tokenizer(row[name])["input_ids"]) for name in ("instruction", "output")) for row in rows
    }
    assert lengths == {(MICRO.prompt, MICRO.new_tokens - 1)}
    assert tokenizer.unk_token_id not in tokenizer(rows[0]["instruction"])["input_ids"]


def test_multiplications_are_those_that_torch_counts(place: Place) -> None:
    """Of the weights. Attention is by the formula: kernels may multiply with positions that are masked."""
    model = AutoModelForCausalLM.from_pretrained(place.student, attn_implementation="eager")
    counter = FlopCounterMode(display=False)
    length = 10
    with counter, torch.no_grad():
        model(torch.zeros((1, length), dtype=torch.long))
    counts = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    attention = counts.pop("aten.bmm")
    shape = MICRO.student
    # Until transformers 5.2x the angles of the positions are a product as well, of 40 operations.
    assert attention == pytest.approx(shape.layers * 4 * shape.hidden * length**2, rel=0.005)
    seen = shape.layers * 4 * shape.hidden * (length * (length + 1) // 2)
    expected = body_flops(shape, 0, length) - seen + head_flops(shape, MICRO.vocab, length)
    assert sum(counts.values()) == expected


def test_positions_add_up() -> None:
    whole, split = body_flops(MICRO.student, 0, 9), [(0, 4), (4, 5), (5, 9)]
    assert sum(body_flops(MICRO.student, first, last) for first, last in split) == whole


def test_a_step_grows_with_its_rows_and_more_than_with_its_length() -> None:
    once = step_flops(MICRO)
    assert step_flops(MICRO.scaled(batch=6)) == 3 * once
    assert 2 * once < step_flops(MICRO.scaled(prompt=12, new_tokens=8)) < 4 * once
