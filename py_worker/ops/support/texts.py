"""Token ids to text."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from py_worker.models.policy import Policy

Ids = npt.NDArray[np.int32]


def prompt_text(policy: Policy, prompt: Ids) -> str:
    """A prompt as the model met it, special tokens included."""
    return str(policy.tokenizer.decode(prompt.tolist()))


def response_texts(policy: Policy, responses: Sequence[Ids], ended: Sequence[bool]) -> list[str]:
    """Responses without the EOS that ended them, and stripped."""
    bodies = [ids[:-1] if done else ids for ids, done in zip(responses, ended, strict=True)]
    decode = policy.tokenizer.decode
    return [str(decode(ids.tolist(), skip_special_tokens=True)).strip() for ids in bodies]
