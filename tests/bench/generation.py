"""Tokens a second of the native engine and of `model.generate`, and decoding against the memory's speed.

    python tests/bench/generation.py --out generation.json
    python tests/bench/generation.py --model smollm2 --dtype bfloat16 --pairs 10 --threads 1
    python tests/bench/generation.py --device cuda --steps exact graph
    python tests/bench/generation.py --threads 1 --clock cpu      on a machine that has other work

Needs torch, transformers, numpy, safetensors and this repository. Both sides draw from one model with random
weights, at temperature 1 and without truncation, as rollouts are: as many tokens as are asked for (EOS
suppressed), or until EOS (one token in 32 on average, so that rows end at different times). `model.generate`
runs in inference mode with its own cache. A ratio is the median over pairs, with the quartiles.

The floor of a decode step is the time to read all weights but the embedding's, and the keys and values of
every row, once, at the speed at which the device copies (bytes read and written); copying takes turns with
the two sides.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, get_args

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the product has it; read when torch loads its threads

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from py_worker.models.head import OutputHead
from py_worker.rollout import native
from py_worker.rollout.mixture import Mixture
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.sampling import Sampling
from py_worker.rollout.step_runner import StepForm
from tests.bench import measure
from tests.bench.workload import WORKLOADS, Shape

EOS_SHARE = 32
# The second one is the process's time on all cores: it says nothing with several threads, or of a GPU.
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
_READ_ONCE = ("EncDecAttention.k.weight", "EncDecAttention.v.weight")
"""Weights that a decoder needs for each prompt, not for each token."""
COPY_BYTES = {"cpu": 128 << 20, "cuda": 1 << 30}


def llama(shape: Shape, vocab: int) -> Any:
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=shape.tied,
    )
    return LlamaForCausalLM(config)


def t5_small() -> Any:
    config = T5Config(
        vocab_size=32_128,
        d_model=512,
        d_kv=64,
        d_ff=1_024,
        num_layers=8,
        num_heads=6,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )
    return T5ForConditionalGeneration(config)


@dataclass(frozen=True)
class Model:
    """An architecture, and the rows that are generated together on a CPU."""

    make: Callable[[], Any]
    batch: int


MODELS = {
    # 6.3 M parameters.
    "tiny": Model(lambda: llama(WORKLOADS["tiny"].student, 4_096), 8),
    # The sizes of SmolLM2-135M, of GPT-2's smallest, and of T5-Small 1.1 with a tied head (60 M parameters).
    "smollm2": Model(lambda: llama(WORKLOADS["smollm2"].teacher, 49_152), 4),
    "gpt2": Model(lambda: GPT2LMHeadModel(GPT2Config()), 8),
    "t5": Model(t5_small, 8),
    # For tests.
    "micro": Model(lambda: llama(WORKLOADS["micro"].student, 64), 2),
}


@dataclass(frozen=True)
class RandomPolicy:
    """What the engine needs to know of a model."""

    module: Any
    eos_ids: tuple[int, ...]
    pad_id: int = 0
    compute_dtype: torch.dtype | None = None
    name: str = "bench"

    @property
    def vocab_size(self) -> int:
        return int(self.module.config.vocab_size)

    @property
    def max_positions(self) -> int | None:
        return getattr(self.module.config, "max_position_embeddings", None)

    @cached_property
    def head(self) -> OutputHead:
        return OutputHead.of(self.module, self.vocab_size, "bench")

    def resident(self) -> AbstractContextManager[None]:
        return nullcontext()


class Case:
    """One model and its prompts; each measurement is one generation of the whole batch, seeded by its number.

    Attributes:
        decode_seconds: of each generation of the engine, all that comes after the prompts.
        rows_per_token: of each, rows that went through the decoder per token drawn.
    """

    def __init__(self, name: str, args: argparse.Namespace, *, suppress_eos: bool, steps: StepForm) -> None:
        self.device, self.suppress_eos = torch.device(args.device), suppress_eos
        self.batch = args.batch or (64 if args.device == "cuda" else MODELS[name].batch)
        self.prompt, self.new_tokens = args.prompt, args.new_tokens
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = MODELS[name].make().to(self.device, getattr(torch, args.dtype)).eval()
        vocab = module.config.vocab_size
        self.policy = RandomPolicy(module, tuple(range(1 if suppress_eos else vocab // EOS_SHARE)))
        shape = (self.batch, self.prompt)
        self._prompts = np.random.default_rng(0).integers(0, vocab, shape).astype(np.int32)
        limits = native.LIMITS.get(args.device, native.LIMITS_ELSEWHERE)
        self._engine = NativeEngine(replace(limits, steps=steps))
        self._copied = torch.zeros(2, COPY_BYTES[args.device], dtype=torch.uint8, device=self.device)
        self._number = 0
        self._clock = CLOCKS[args.clock]
        self.decode_seconds: list[float] = []
        self.rows_per_token: list[float] = []

    def ours(self) -> float:
        """Seconds a token."""
        self._number += 1
        decoding_since: float | None = None

        def tick() -> None:
            nonlocal decoding_since
            decoding_since = decoding_since or self._now()

        start = self._now()
        sampling = Sampling(max_new_tokens=self.new_tokens, suppress_eos=self.suppress_eos)
        drawn = self._engine.generate(
            Mixture.of(self.policy), [*self._prompts], range(self.batch), sampling, self._number, tick
        )
        end = self._now()
        self.decode_seconds.append(end - (decoding_since or start))
        self.rows_per_token.append(drawn.decoded_rows / drawn.token_count)
        return (end - start) / drawn.token_count

    def theirs(self) -> float:
        """Seconds a token; rows that have ended are not counted on."""
        config = GenerationConfig(
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=self.new_tokens,
            eos_token_id=None if self.suppress_eos else list(self.policy.eos_ids),
            pad_token_id=self.policy.pad_id,
            decoder_start_token_id=getattr(self.policy.module.config, "decoder_start_token_id", None),
        )
        before = 1 if self.policy.module.config.is_encoder_decoder else self.prompt
        start = self._now()
        with torch.inference_mode():
            ids = torch.from_numpy(self._prompts.astype(np.int64)).to(self.device)
            mask = torch.ones_like(ids)
            out = self.policy.module.generate(input_ids=ids, attention_mask=mask, generation_config=config)
            tokens = out[:, before:].cpu()
        end = self._now()
        return (end - start) / self._count(tokens)

    def copy(self) -> float:
        """Seconds to read and write a byte."""
        start = self._now()
        self._copied[1].copy_(self._copied[0])
        return (self._now() - start) / self._copied.nbytes

    def step_bytes(self) -> float:
        """Read by one decode step, at the mean length of a row.

        Of an encoder-decoder by its decoder, which reads what the encoder made of prompts as keys and values.
        """
        module, head, config = self.policy.module, self.policy.head.weight, self.policy.module.config
        tables = {module.get_input_embeddings().weight, module.get_output_embeddings().weight}
        tables |= {m.weight for m in module.modules() if isinstance(m, torch.nn.Embedding)}
        decoder = module.get_decoder() if config.is_encoder_decoder else module
        once = {p for name, p in decoder.named_parameters() if name.endswith(_READ_ONCE)}
        weights = head.nbytes + sum(p.nbytes for p in decoder.parameters() if p not in tables | once)
        kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "d_kv", None) or config.hidden_size // config.num_attention_heads
        length = self.prompt + (self.new_tokens + 1) / 2
        layers = getattr(config, "num_decoder_layers", None) or config.num_hidden_layers
        return float(weights + 2 * layers * size * kv_heads * head.itemsize * length * self.batch)

    def _count(self, tokens: torch.Tensor) -> int:
        """Of each row, up to its first EOS."""
        if self.suppress_eos:
            return tokens.numel()
        ended = torch.isin(tokens, torch.tensor(self.policy.eos_ids))
        lengths = torch.where(ended.any(1), ended.int().argmax(1) + 1, tokens.shape[1])
        return int(lengths.sum())

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return self._clock()


def compare(name: str, args: argparse.Namespace, eos: str, steps: StepForm) -> dict[str, Any]:
    """One model, one way of ending, one form of steps."""
    case = Case(name, args, suppress_eos=eos == "suppressed", steps=steps)
    pairs = measure.pairs_of(args)
    times = measure.alternate({"engine": case.ours, "generate": case.theirs, "copy": case.copy}, pairs)
    result = {
        "model": name,
        "eos": eos,
        "steps": steps,
        "batch": case.batch,
        "parameters": sum(p.numel() for p in case.policy.module.parameters()),
        "speedup": measure.spread(measure.ratios(times["generate"], times["engine"])),
        "tokens_per_second": {
            side: measure.spread(1 / t for t in times[side]) for side in ("engine", "generate")
        },
        "rows_per_token": measure.spread(case.rows_per_token[-pairs:]),
        "copy_bytes_per_second": measure.spread(1 / t for t in times["copy"]),
        "pairs": times,
    }
    if eos == "suppressed":
        floors = [case.step_bytes() * (case.new_tokens - 1) * t for t in times["copy"]]
        result["step_bytes"] = case.step_bytes()
        result["decode_over_floor"] = measure.spread(measure.ratios(case.decode_seconds[-pairs:], floors))
    return result


def show(results: list[dict[str, Any]]) -> str:
    header = ["model", "EOS", "steps", "batch", "engine / generate", "decode / floor", "rows a token"]
    return measure.table(
        header,
        [
            [
                result["model"],
                result["eos"],
                result["steps"],
                str(result["batch"]),
                measure.in_words(result["speedup"]),
                measure.in_words(result["decode_over_floor"]) if "decode_over_floor" in result else "",
                f"{result['rows_per_token']['median']:.2f}",
            ]
            for result in results
        ],
    )


def parse() -> argparse.Namespace:
    parser = measure.common_options("The native engine against model.generate.")
    parser.add_argument("--model", nargs="+", choices=list(MODELS), default=["tiny", "smollm2", "gpt2", "t5"])
    parser.add_argument("--eos", nargs="+", choices=["suppressed", "drawn"], default=["suppressed", "drawn"])
    parser.add_argument("--steps", nargs="+", choices=get_args(StepForm), default=["exact"])
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16", "float16"], help="bfloat16 on CUDA, float32 elsewhere"
    )
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--batch", type=int, help="rows; 64 on CUDA, on the CPU by model")
    parser.add_argument("--prompt", type=int, default=64, help="tokens")
    parser.add_argument("--new-tokens", type=int, default=64)
    args = parser.parse_args()
    if args.clock == "cpu" and (args.device != "cpu" or args.threads != 1):
        parser.error("--clock cpu is for one thread on the CPU: add --threads 1")
    args.dtype = args.dtype or ("bfloat16" if args.device == "cuda" else "float32")
    return args


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    torch.backends.cuda.enable_cudnn_sdp(False)  # as the worker does, or each new length would cost a plan
    results = []
    for name, steps, eos in product(args.model, args.steps, args.eos):
        results.append(compare(name, args, eos, steps))
        measure.note(f"{name}, EOS {eos}: {results[-1]['speedup']['median']:.2f} times model.generate")
        measure.save(args.out, measure.report(args, results))
    print(show(results))


if __name__ == "__main__":
    main()
