"""Generation by vLLM (0.20 or newer), from its own copy of the weights.

EXPERIMENTAL: no run on a GPU is logged yet. With vLLM's build for CPUs it draws what the native engine draws
greedily, and says the log-probabilities of what it samples (`tests/py/rollout/test_vllm.py`).

Taken only when asked for by name (`rollout.engine: vllm`). It differs from the other engines in this:
- the model is in memory twice, and every generation begins with copying the weights, by their names;
- a request has its own generator, seeded by seed and sample id: a sample does not depend on its batch (up to
  rounding), but other engines draw other responses with the same seed;
- mixtures of policies and the n-gram ban are refused.

vLLM wants a torch of its own version, so it is in none of the locked groups of packages.
"""

import importlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from py_worker.models.errors import UnsupportedModelError
from py_worker.models.lora import merged_state
from py_worker.rollout.errors import RolloutError
from py_worker.rollout.mixture import Mixture
from py_worker.rollout.policy import GenerationPolicy
from py_worker.rollout.randomness import stream_seeds
from py_worker.rollout.request import Tick, TokenArray, check_request
from py_worker.rollout.responses import Responses
from py_worker.rollout.sampling import Sampling

_MEMORY_SHARE = 0.3
"""Share of the GPU's memory for vLLM's weights, keys and values; training has the rest. A guess, not
measured."""


class VllmEngine:
    """See `Engine`, and the head of this file."""

    name = "vllm"
    concurrent = False
    rows = None
    """vLLM's own scheduler decides, within its share of the memory."""

    def __init__(self) -> None:
        self._served: _Served | None = None

    def refusal(self, policy: GenerationPolicy) -> str | None:
        """Why this engine cannot serve the policy, or None. vLLM itself may refuse it when it is loaded."""
        if importlib.util.find_spec("vllm") is None:
            return (
                "the Python package vllm is not installed; install it in an environment of your own and name "
                "that in AMMD_PYTHON_ENV (it brings its own version of torch)"
            )
        if policy.head.rows.device.index:
            return f"it is on {policy.head.rows.device}, and vLLM takes the first GPU: show this one alone"
        return "it is an encoder-decoder" if policy.module.config.is_encoder_decoder else None

    def generate(
        self,
        mixture: Mixture,
        prompts: Sequence[TokenArray],
        sample_ids: Sequence[int],
        sampling: Sampling,
        seed: int,
        tick: Tick,
        rows: int | None = None,  # noqa: ARG002
    ) -> Responses:
        """See `Engine`.

        Raises:
            RolloutError: also for a mixture, an n-gram ban, or a prompt with ids beyond the vocabulary.
            UnsupportedModelError: vLLM does not load the model.
        """
        check_request(mixture.policies, prompts, sample_ids, sampling)
        _check(mixture, prompts, sampling)
        if not prompts:
            return Responses([], [], [], 0)
        [policy] = mixture.policies
        if self._served is None or self._served.policy is not policy:
            self._served = None  # its memory first
            self._served = _Served(policy)
        # Each time: nothing that a fused optimizer leaves behind tells that weights have changed.
        self._served.load_weights()
        seeds = stream_seeds(seed, sample_ids)
        requests = [_parameters(self._served.library, mixture, sampling, each) for each in seeds]
        outputs = self._served.run(list(zip(prompts, requests, strict=True)), tick)
        return _responses(outputs, mixture.eos_ids, greedy=_is_greedy(sampling))

    def rehearse(
        self,
        mixture: Mixture,  # noqa: ARG002
        prompts: Sequence[TokenArray],  # noqa: ARG002
        sampling: Sampling,  # noqa: ARG002
        tick: Tick,
        rows: int | None = None,  # noqa: ARG002
    ) -> None:
        """Nothing: vLLM takes its share of the GPU's memory whatever is drawn; no prediction counts it."""
        tick()


class _Served:
    """One policy in vLLM: a model of its architecture, made from its configuration alone."""

    def __init__(self, policy: GenerationPolicy) -> None:
        # In this process: weights are handed over as tensors.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        self.library: Any = importlib.import_module("vllm")
        self.policy = policy
        with tempfile.TemporaryDirectory(prefix="ammd-vllm-") as folder:
            _save_config(policy, Path(folder))
            try:
                self._llm = self.library.LLM(
                    model=folder,
                    load_format="dummy",
                    skip_tokenizer_init=True,
                    dtype=str(policy.compute_dtype or policy.module.dtype).removeprefix("torch."),
                    gpu_memory_utilization=_MEMORY_SHARE,
                    # Its entries would outlive the weights that they were computed with.
                    enable_prefix_caching=False,
                    # After temperature and truncation: of the distribution that a token was drawn from.
                    logprobs_mode="processed_logprobs",
                    seed=0,
                )
            except Exception as error:
                raise UnsupportedModelError(
                    f"Generation engine 'vllm' cannot load a {type(policy.module).__name__}: {error}"
                ) from error

    def load_weights(self) -> None:
        """Hands over all weights, adapters merged, by the names they have in transformers."""
        # Not the model's own `load_weights`: some kernels want a layout that is made after loading.
        with torch.no_grad(), Mixture.of(self.policy).resident():
            weights = _named_weights(self.policy)
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})

    def run(self, requests: Sequence[tuple[TokenArray, Any]], tick: Tick) -> list[Any]:
        """The outputs, in the order of the requests; none is left behind when `tick` raises."""
        engine = self._llm.llm_engine
        waiting = {str(index) for index in range(len(requests))}
        for index, (prompt, parameters) in enumerate(requests):
            engine.add_request(str(index), {"prompt_token_ids": prompt.tolist()}, parameters)
        outputs: dict[str, Any] = {}
        try:
            while engine.has_unfinished_requests():
                for answer in engine.step():
                    if answer.finished:
                        waiting.discard(answer.request_id)
                        outputs[answer.request_id] = answer.outputs[0]
                tick()
        except BaseException:
            engine.abort_request(sorted(waiting))
            raise
        return [outputs[str(index)] for index in range(len(requests))]


def _check(mixture: Mixture, prompts: Sequence[TokenArray], sampling: Sampling) -> None:
    remedy = "use rollout.engine: auto"
    if len(mixture.policies) > 1:
        raise RolloutError(f"Generation engine 'vllm' draws from one policy, not from a mixture; {remedy}.")
    if sampling.no_repeat_ngram_size > 0:
        raise RolloutError(
            f"Generation engine 'vllm' has no n-gram ban; set no_repeat_ngram_size to 0, or {remedy}."
        )
    for index, prompt in enumerate(prompts):
        if prompt.max() >= mixture.vocab_size:
            raise RolloutError(
                f"Prompt {index} has token id {prompt.max()}, and generation engine 'vllm' knows only the "
                f"vocabulary of {mixture.vocab_size} tokens; {remedy}."
            )


def _save_config(policy: GenerationPolicy, folder: Path) -> None:
    """The model's configuration, its vocabulary cut to the policy's."""
    config = type(policy.module.config).from_dict(policy.module.config.to_dict())
    config.architectures = [type(policy.module).__name__]
    config.vocab_size = policy.vocab_size
    config.save_pretrained(folder)


def _named_weights(policy: GenerationPolicy) -> Iterator[tuple[str, Tensor]]:
    """Names and weights; tables of tokens cut to the vocabulary."""
    module, size = policy.module, policy.vocab_size
    head = module.get_output_embeddings()
    tables = {id(t) for t in (module.get_input_embeddings().weight, head.weight, head.bias) if t is not None}
    cut = {name for name, p in module.named_parameters(remove_duplicate=False) if id(p) in tables}
    for name, tensor in merged_state(module).items():
        yield name, tensor[:size] if name in cut else tensor


def _is_greedy(sampling: Sampling) -> bool:
    """An empty nucleus is the most probable token too."""
    return sampling.temperature == 0.0 or sampling.top_p == 0.0


def _parameters(library: Any, mixture: Mixture, sampling: Sampling, seed: int) -> Any:
    """How one request is drawn. EOS ids are stop tokens of ours: the model's own are left out."""
    greedy = _is_greedy(sampling)
    return library.SamplingParams(
        temperature=0.0 if greedy else sampling.temperature,
        top_p=1.0 if greedy else sampling.top_p,
        top_k=-1 if greedy or sampling.top_k == 0 else sampling.top_k,
        max_tokens=sampling.max_new_tokens,
        min_tokens=sampling.max_new_tokens if sampling.suppress_eos else 0,
        stop_token_ids=list(mixture.eos_ids),
        ignore_eos=True,
        detokenize=False,
        logprobs=0,
        seed=seed,
    )


def _responses(outputs: Sequence[Any], eos_ids: Sequence[int], *, greedy: bool) -> Responses:
    tokens = [np.asarray(output.token_ids, dtype=np.int32) for output in outputs]
    log_probs = [
        np.zeros(len(row), dtype=np.float32)
        if greedy
        else np.array(
            [at[int(token)].logprob for at, token in zip(output.logprobs, row, strict=True)], dtype=np.float32
        )
        for output, row in zip(outputs, tokens, strict=True)
    ]
    ended = [len(row) > 0 and int(row[-1]) in eos_ids for row in tokens]
    return Responses(tokens, ended, log_probs, sum(map(len, tokens)) - len(tokens))
