"""A stand-in for the library vllm: the part that the engine uses, around a model of transformers on the CPU.

As the library does, it makes the model from a folder's configuration, takes weights by name, and advances all
its requests by one token a step.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import transformers
from torch import Tensor


@dataclass
class SamplingParams:
    """The settings that the engine gives; no others are known."""

    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    min_tokens: int
    stop_token_ids: list[int]
    ignore_eos: bool
    detokenize: bool
    logprobs: int
    seed: int

    def __post_init__(self) -> None:
        assert self.top_p > 0.0 and (self.top_k > 0 or self.top_k == -1) and self.seed >= 0
        assert self.ignore_eos and not self.detokenize and self.logprobs == 0


@dataclass
class Request:
    """One of those at work."""

    prompt: list[int]
    params: SamplingParams
    generator: torch.Generator
    tokens: list[int] = field(default_factory=list)
    logprobs: list[dict[int, Any]] = field(default_factory=list)


class Engine:
    """Advances requests."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.requests: dict[str, Request] = {}
        self.seeds: list[int] = []
        self.aborted: list[str] = []
        self.module: Any = None

    def add_request(self, request_id: str, prompt: dict[str, list[int]], params: SamplingParams) -> None:
        assert request_id not in self.requests
        self.calls.append("add_request")
        self.seeds.append(params.seed)
        generator = torch.Generator().manual_seed(params.seed)
        self.requests[request_id] = Request(prompt["prompt_token_ids"], params, generator)

    def has_unfinished_requests(self) -> bool:
        return bool(self.requests)

    def abort_request(self, request_ids: list[str]) -> None:
        self.aborted += request_ids
        for request_id in request_ids:
            del self.requests[request_id]

    def step(self) -> list[Any]:
        self.calls.append("step")
        # The latest first: answers come in no order.
        return [self._advance(name) for name in reversed(list(self.requests))]

    @torch.no_grad()
    def _advance(self, name: str) -> Any:
        request = self.requests[name]
        params = request.params
        ids = torch.tensor([[*request.prompt, *request.tokens]])
        logits = self.module(input_ids=ids, use_cache=False).logits[0, -1].double()
        if len(request.tokens) < params.min_tokens:
            logits[params.stop_token_ids] = float("-inf")
        processed = (logits / (params.temperature or 1.0)).log_softmax(-1)
        if params.temperature == 0.0:
            token = int(processed.argmax())
        else:
            token = int(torch.multinomial(processed.exp(), 1, generator=request.generator))
        request.tokens.append(token)
        request.logprobs.append({token: SimpleNamespace(logprob=float(processed[token]))})
        finished = token in params.stop_token_ids or len(request.tokens) == params.max_tokens
        if finished:
            del self.requests[name]
        output = SimpleNamespace(token_ids=list(request.tokens), logprobs=list(request.logprobs))
        return SimpleNamespace(request_id=name, finished=finished, outputs=[output])


class Worker:
    """Does what `collective_rpc` names."""

    def __init__(self, engine: Engine, config: dict[str, Any], dtype: torch.dtype) -> None:
        [architecture] = config["architectures"]
        kind = getattr(transformers, architecture)
        self._engine, self._config, self._dtype = engine, kind.config_class.from_dict(config), dtype
        self._kind = kind

    def reload_weights(self, weights_iterator: Iterator[tuple[str, Tensor]]) -> None:
        self._engine.calls.append("reload_weights")
        with torch.random.fork_rng():
            self._engine.module = self._kind(self._config).to(self._dtype).eval()
        self._engine.module.load_state_dict(dict(weights_iterator), strict=True)


class FakeVllm(ModuleType):
    """The module; put it into `sys.modules`.

    Attributes:
        llms: those made so far.
        calls: of all of them, in order.
    """

    SamplingParams = SamplingParams

    def __init__(self) -> None:
        super().__init__("vllm")
        self.__spec__ = ModuleSpec("vllm", None)
        self.llms: list[Any] = []
        self.calls: list[str] = []
        self.failure: Exception | None = None

    def LLM(self, model: str, dtype: str, **options: Any) -> Any:  # noqa: N802 - the library's name
        if self.failure is not None:
            raise self.failure
        self.calls.append("LLM")
        config = json.loads((Path(model) / "config.json").read_text())
        engine = Engine(self.calls)
        worker = Worker(engine, config, getattr(torch, dtype))
        llm = SimpleNamespace(
            config=config,
            options=options,
            llm_engine=engine,
            collective_rpc=lambda method, kwargs: [getattr(worker, method)(**kwargs)],
        )
        self.llms.append(llm)
        return llm
