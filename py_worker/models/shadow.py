"""A second copy of a policy's weights, which stays as it is while the policy is trained."""

import copy

import torch
from torch import Tensor

from py_worker.models.policy import Policy


class Shadow:
    """A policy that computes what another one did at the last `update`.

    What is not trained is shared: a student with adapters costs its adapters, any other one its weights.

    Attributes:
        policy: the copy; without gradients.
    """

    def __init__(self, original: Policy) -> None:
        """
        Args:
            original: trained in place from now on, by operations on the parameters that it has now.
        """
        trained = dict(original.trainable())
        constant = [p for name, p in original.module.named_parameters() if name not in trained]
        shared = [original.tokenizer, *constant, *original.module.buffers()]
        self.policy = copy.deepcopy(original, {id(one): one for one in shared})
        self.policy.freeze()
        own = dict(self.policy.module.named_parameters())
        self._originals: list[Tensor] = list(trained.values())
        self._copies: list[Tensor] = [own[name] for name in trained]

    @torch.no_grad()
    def update(self) -> None:
        """Copies the weights as they are; on a GPU as the calling thread's stream comes to it."""
        if self._copies:
            torch._foreach_copy_(self._copies, self._originals)
