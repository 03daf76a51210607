"""The kernel of `triton_rows`: loss and gradient in the logits of one position. Types here are Triton's own.

A kind is two formulas, in `_token`: what a token adds to the loss, and `u = q · ∂D/∂log q`.
"""

import triton
import triton.language as tl


@triton.jit
def _log_normaliser(
    logits,
    vocabulary,
    dtype: tl.constexpr,
    TEMPERATURE: tl.constexpr,
    LOWEST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Largest `x/τ` of a row, and the logarithm of `Σ exp(x/τ)` over that: a sum of both loses digits.

    Each lane has a running maximum of its own.
    """
    at = tl.arange(0, BLOCK)
    # Finite, so that −inf less the maximum is never −inf less itself.
    largest = tl.full([BLOCK], LOWEST, dtype)
    total = tl.zeros([BLOCK], dtype)
    for start in range(0, vocabulary, BLOCK):
        here = start + at < vocabulary
        x = tl.load(logits + start + at, mask=here, other=-float("inf")).to(dtype) / TEMPERATURE
        higher = tl.maximum(largest, x)
        total = total * tl.exp(largest - higher) + tl.exp(x - higher)
        largest = higher
    highest = tl.max(largest, 0)
    return highest, tl.log(tl.sum(total * tl.exp(largest - highest), 0))


@triton.jit
def _at_least(x, lowest):
    """Larger of the two, and nan where x is: a GPU's own maximum would hide it, and with it the fault."""
    return tl.maximum(x, lowest, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _log_softmax(
    logits,
    highest,
    log_total,
    at,
    vocabulary,
    dtype: tl.constexpr,
    TEMPERATURE: tl.constexpr,
    LOG_ZERO: tl.constexpr,
):
    """Log-probabilities of the tokens `at`, at least `LOG_ZERO`, which also stands beyond the vocabulary."""
    x = tl.load(logits + at, mask=at < vocabulary, other=-float("inf")).to(dtype) / TEMPERATURE
    return _at_least(x - highest - log_total, LOG_ZERO)


@triton.jit
def _token(
    log_p,
    log_q,
    values,
    KIND: tl.constexpr,
    MIX: tl.constexpr,
    LOG_ZERO: tl.constexpr,
    TINY: tl.constexpr,
):
    """What a token adds to the loss, and its `u`. The mixtures are those of `analytic`."""
    p, q = tl.exp(log_p), tl.exp(log_q)
    if KIND == "moment":
        term = (p - q) * values
        slope = -q * values
    elif KIND == "forward_kl":
        term = p * (log_p - log_q)
        slope = tl.where(log_q > LOG_ZERO, -p, 0.0)
    elif KIND == "reverse_kl":
        term = q * (log_q - log_p)
        slope = term
    elif KIND == "jsd":
        log_m = tl.log(_at_least(q + MIX * (p - q), TINY))
        of_student = (1.0 - MIX) * q * (log_q - log_m)
        term = MIX * p * (log_p - log_m) + of_student
        slope = of_student
    elif KIND == "tvd":
        term = 0.5 * tl.abs(p - q)
        # The sign of q − p; 0 · p keeps nan.
        slope = 0.5 * q * (tl.where(p < q, 1.0, 0.0) - tl.where(p > q, 1.0, 0.0) + 0.0 * p)
    elif KIND == "skew_forward_kl":
        m = _at_least(q + MIX * (p - q), TINY)
        term = p * (log_p - tl.log(m))
        slope = -(1.0 - MIX) * p * (q / m)
    else:
        tl.static_assert(KIND == "skew_reverse_kl")
        m = _at_least(p + MIX * (q - p), TINY)
        ratio = log_q - tl.log(m)
        term = q * ratio
        slope = q * (ratio - MIX * (q / m))
    return term, slope


@triton.jit
def _slopes(
    student,
    teacher,
    values,
    at,
    vocabulary,
    student_highest,
    student_total,
    teacher_highest,
    teacher_total,
    dtype: tl.constexpr,
    KIND: tl.constexpr,
    MIX: tl.constexpr,
    TEMPERATURE: tl.constexpr,
    LOG_ZERO: tl.constexpr,
    TINY: tl.constexpr,
):
    """`q` of the tokens `at`, what they add to the loss, and their `u`."""
    log_q = _log_softmax(
        student, student_highest, student_total, at, vocabulary, dtype, TEMPERATURE, LOG_ZERO
    )
    log_p = _log_softmax(
        teacher, teacher_highest, teacher_total, at, vocabulary, dtype, TEMPERATURE, LOG_ZERO
    )
    f = log_q
    if KIND == "moment":
        f = tl.load(values + at, mask=at < vocabulary, other=0.0).to(dtype)
    term, slope = _token(log_p, log_q, f, KIND, MIX, LOG_ZERO, TINY)
    return tl.exp(log_q), term, slope


@triton.jit
def _token_log_prob(student, token, highest, total, vocabulary, dtype: tl.constexpr, LOG_ZERO: tl.constexpr):
    """`log q` of one token, nan for one outside the vocabulary."""
    known = (token >= 0) & (token < vocabulary)
    x = tl.load(student + token, mask=known, other=float("nan")).to(dtype)
    return _at_least(x - highest - total, LOG_ZERO)


@triton.jit
def rows(
    student,
    teacher,
    values,
    tokens,
    upstream,
    token_upstream,
    loss,
    log_prob,
    gradient,
    student_stride,
    teacher_stride,
    values_stride,
    vocabulary,
    KIND: tl.constexpr,
    MIX: tl.constexpr,
    TEMPERATURE: tl.constexpr,
    LOG_ZERO: tl.constexpr,
    TINY: tl.constexpr,
    LOWEST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Loss, `log q` of a token where one is given, and gradient of one position; absent tensors are None."""
    dtype: tl.constexpr = gradient.dtype.element_ty
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    student += row * student_stride
    gradient += row * vocabulary
    s_highest, s_total = _log_normaliser(student, vocabulary, dtype, TEMPERATURE, LOWEST, BLOCK)
    of_loss = tl.load(upstream + row).to(dtype) / TEMPERATURE

    token = tl.full((), -1, tl.int64)
    of_token = tl.zeros((), dtype)
    if tokens is not None:
        token = tl.load(tokens + row)
        found = _token_log_prob(student, token, s_highest, s_total, vocabulary, dtype, LOG_ZERO)
        tl.store(log_prob + row, found)
        if token_upstream is not None:
            of_token = tl.where(found > LOG_ZERO, tl.load(token_upstream + row), 0.0).to(dtype)
    if KIND == "cross_entropy":
        tl.store(loss + row, -found)
        for start in range(0, vocabulary, BLOCK):
            at = start + columns
            q = tl.exp(
                _log_softmax(student, s_highest, s_total, at, vocabulary, dtype, TEMPERATURE, LOG_ZERO)
            )
            of_logits = of_token * (tl.where(at == token, 1.0, 0.0) - q)
            tl.store(gradient + at, of_logits, mask=at < vocabulary)
    else:
        teacher += row * teacher_stride
        if values is not None:
            values += row * values_stride
        t_highest, t_total = _log_normaliser(teacher, vocabulary, dtype, TEMPERATURE, LOWEST, BLOCK)
        terms = tl.zeros([BLOCK], dtype)
        slopes = tl.zeros([BLOCK], dtype)
        for start in range(0, vocabulary, BLOCK):
            _, term, slope = _slopes(
                student, teacher, values, start + columns, vocabulary, s_highest, s_total, t_highest, t_total,
                dtype, KIND, MIX, TEMPERATURE, LOG_ZERO, TINY,
            )  # fmt: skip
            terms += term
            slopes += slope
        tl.store(loss + row, tl.sum(terms, 0))
        of_slopes = tl.sum(slopes, 0)
        for start in range(0, vocabulary, BLOCK):
            at = start + columns
            q, _, slope = _slopes(
                student, teacher, values, at, vocabulary, s_highest, s_total, t_highest, t_total,
                dtype, KIND, MIX, TEMPERATURE, LOG_ZERO, TINY,
            )  # fmt: skip
            of_logits = of_loss * (slope - q * of_slopes) + of_token * (tl.where(at == token, 1.0, 0.0) - q)
            tl.store(gradient + at, of_logits, mask=at < vocabulary)
