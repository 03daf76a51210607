"""What tokens are drawn from: one policy's distribution, or the weighted mean of several."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from torch import Tensor

from py_worker.rollout.errors import RolloutError
from py_worker.rollout.policy import GenerationPolicy
from py_worker.rollout.sampling import Context, Sampling, draw, mix


@dataclass(frozen=True)
class Mixture:
    """The weighted mean of policies' next-token distributions; in the common case of one policy alone.

    Attributes:
        policies: one at least; each runs over the same tokens.
        weights: above 0, one per policy, with sum 1.
        vocab_size: `V`, shared by all.
        eos_ids: tokens of the vocabulary that end a response, whichever policy gave them their probability.
        pad_id: fills batches.
    """

    policies: tuple[GenerationPolicy, ...]
    weights: tuple[float, ...]
    vocab_size: int
    eos_ids: tuple[int, ...]
    pad_id: int

    @staticmethod
    def of(policy: GenerationPolicy) -> "Mixture":
        """One policy."""
        return Mixture._ending_as(policy, (policy,), (1.0,))

    @staticmethod
    def blend(student: GenerationPolicy, teacher: GenerationPolicy, share: float) -> "Mixture":
        """`share · teacher + (1 − share) · student`, for responses of the student: they end where its own do.

        A policy without weight is left out, so the ends of the range cost one model, and draw exactly what
        it draws alone.

        Args:
            student: whose responses they are.
            teacher: of the same vocabulary.
            share: the teacher's, in [0, 1].

        Raises:
            RolloutError: the vocabularies have different sizes, or the share is out of range.
        """
        if not 0.0 <= share <= 1.0:
            raise RolloutError(f"mixture is {share}; the teacher's share must lie between 0 and 1.")
        if student.vocab_size != teacher.vocab_size:
            raise RolloutError(
                f"A mixture needs one vocabulary, and the student has {student.vocab_size} tokens, the "
                f"teacher {teacher.vocab_size}; load the teacher first, so that both are cut to what they "
                "share."
            )
        parts = [(policy, weight) for policy, weight in ((student, 1.0 - share), (teacher, share)) if weight]
        policies, weights = zip(*parts, strict=True)
        return Mixture._ending_as(student, policies, weights)

    @staticmethod
    def _ending_as(
        policy: GenerationPolicy, policies: tuple[GenerationPolicy, ...], weights: tuple[float, ...]
    ) -> "Mixture":
        """Without the ids that a vocabulary cut to what two models share has lost."""
        eos_ids = tuple(eos for eos in policy.eos_ids if eos < policy.vocab_size)
        return Mixture(policies, weights, policy.vocab_size, eos_ids, policy.pad_id)

    @contextmanager
    def resident(self) -> Iterator[None]:
        """Within, the weights of all policies are on their device."""
        with ExitStack() as stack:
            for policy in self.policies:
                stack.enter_context(policy.resident())
            yield

    def draw(
        self,
        logits: Sequence[Tensor],
        uniforms: Tensor,
        sampling: Sampling,
        eos: Tensor,
        context: Context | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draws one token per row: see `sampling.draw`.

        Args:
            logits: [B, V] of each policy, in their order.
            uniforms: [B] float64 in [0, 1).
            sampling: settings. The temperature divides each policy's logits; everything else acts on the
                mixture. Greedy takes the most probable token of the mixture at temperature 1 (our choice:
                the limit of small temperatures would still be a draw, between the policies' favourites).
            eos: [E] int64, ids that end a response, on the device.
            context: tokens so far.
        """
        if len(logits) == 1:
            return draw(logits[0], uniforms, sampling, eos, context)
        mixed = mix(logits, self.weights, sampling.temperature or 1.0)
        return draw(mixed, uniforms, sampling.after_mixing, eos, context)
