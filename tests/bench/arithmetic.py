"""What a step of GKD cannot do without, by its sizes: multiplications and additions of matrix products."""

from tests.bench.workload import Shape, Workload


def body_flops(shape: Shape, first: int, last: int) -> int:
    """Of a row's positions `first` to `last` (exclusive) in the blocks; each sees itself and those before."""
    kv_width = shape.hidden // shape.heads * shape.kv_heads
    weights = 2 * shape.hidden * (shape.hidden + kv_width) + 3 * shape.hidden * shape.intermediate
    # Position t, from 0, multiplies its query with t + 1 keys and its probabilities with as many values.
    seen = (last * (last + 1) - first * (first + 1)) // 2
    return shape.layers * (2 * weights * (last - first) + 4 * shape.hidden * seen)


def head_flops(shape: Shape, vocab: int, positions: int) -> int:
    """Of the logits at so many positions."""
    return 2 * shape.hidden * vocab * positions


def step_flops(workload: Workload) -> int:
    """Of one step: responses drawn with kept keys and values, one teacher pass, one student pass and its
    backward (twice the forward); logits at the response's positions alone."""
    prompt, length = workload.prompt, workload.prompt + workload.new_tokens
    student, teacher = workload.student, workload.teacher
    # The last token is drawn, not read.
    drawn = body_flops(student, 0, length - 1) + head_flops(student, workload.vocab, length - prompt)
    scored = sum(
        passes * (body_flops(shape, 0, length) + head_flops(shape, workload.vocab, length - prompt))
        for shape, passes in ((teacher, 1), (student, 3))
    )
    return workload.batch * (drawn + scored)
