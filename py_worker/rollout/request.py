"""What every engine is asked for, and what it refuses."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from py_worker.rollout.errors import RolloutError
from py_worker.rollout.policy import GenerationPolicy
from py_worker.rollout.sampling import Sampling

TokenArray = npt.NDArray[np.int32]
Tick = Callable[[], None]


def check_request(
    policies: Sequence[GenerationPolicy],
    prompts: Sequence[TokenArray],
    sample_ids: Sequence[int],
    sampling: Sampling,
) -> None:
    """Refuses prompts that no engine could continue with every one of the policies.

    Raises:
        RolloutError: naming the prompt, what is wrong with it, and the remedy. On a GPU a bad id would
            otherwise end the process with a device assertion.
    """
    if len(prompts) != len(sample_ids):
        raise RolloutError(
            f"{len(prompts)} prompts came with {len(sample_ids)} sample ids; give one per prompt."
        )
    embeddings = min(policy.module.get_input_embeddings().num_embeddings for policy in policies)
    limits = (policy.max_positions for policy in policies)
    positions = min((limit for limit in limits if limit is not None), default=None)
    for index, (prompt, sample_id) in enumerate(zip(prompts, sample_ids, strict=True)):
        place = f"Prompt {index} (sample {sample_id})"
        if len(prompt) == 0:
            raise RolloutError(f"{place} is empty; it needs one token at least.")
        if prompt.min() < 0 or prompt.max() >= embeddings:
            bad = prompt.min() if prompt.min() < 0 else prompt.max()
            raise RolloutError(
                f"{place} has token id {bad}, but the model has {embeddings} embeddings; "
                "tokenize with the model's own tokenizer."
            )
        # The last token drawn is never fed back, hence the - 1.
        needed = len(prompt) + sampling.max_new_tokens - 1
        if positions is not None and needed > positions:
            raise RolloutError(
                f"{place} has {len(prompt)} tokens; with max_new_tokens "
                f"{sampling.max_new_tokens} it needs {needed} positions and the model has "
                f"{positions}. Cut the prompt or lower max_new_tokens."
            )
