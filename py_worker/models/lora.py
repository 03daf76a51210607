"""Low-rank adapters (LoRA): put into a model by the library peft, trained, and added to its weights.

The adapters lie inside the model's own layers, so that the model keeps its class, its body and its head.
An adapted layer computes `W x + alpha / r · B A dropout(x)`, with A drawn from a seed and B = 0.
"""

import contextlib
import copy
import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.spec import LoraSpec

_NAME: Final = "default"
"""What peft calls an adapter that is the only one."""


def add_adapters(module: Any, spec: LoraSpec, name: str) -> None:
    """Puts adapters into a model's layers and freezes everything else.

    The weights of the adapters follow from `spec.seed`, not from the global random state.

    Args:
        module: a Hugging Face language model; changed in place.
        spec: rank, scale, dropout and targets.
        name: of the model, for messages.

    Raises:
        ModelError: peft is not installed, or a target that no layer has.
        UnsupportedModelError: a target is the output head, or no linear layer; or peft cannot adapt one.
    """
    library = require_peft(f"{name}: adapters (lora)")
    _check_targets(module, spec.targets, name)
    linear = _linear_layers(module)
    wanted = {
        name
        for name in linear
        if not spec.targets or f".{name}".endswith(tuple(f".{t}" for t in spec.targets))
    }
    config = library.LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        # Not peft's "all-linear", which takes experts too.
        target_modules=list(spec.targets) or sorted(wanted),
        task_type="SEQ_2_SEQ_LM" if module.config.is_encoder_decoder else "CAUSAL_LM",
    )
    # What the library draws is replaced below; it does so on the CPU and copies.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # GPT-2 keeps its matrices transposed; peft sees it and says so.
        warnings.filterwarnings("ignore", message="fan_in_fan_out")
        try:
            library.inject_adapter_in_model(config, module, _NAME)
            _require_adapted(module, wanted)
        except ValueError as error:
            known = ", ".join(sorted(_last_names(linear)))
            raise UnsupportedModelError(
                f"{name}: lora: {type(module).__name__} cannot be adapted so: {error}; name other layers in "
                f"lora.targets, of {known}"
            ) from error
    _draw(module, spec.seed)
    module.eval()


def require_peft(use: str) -> Any:
    """The library; imported where it is used, which takes seconds.

    Args:
        use: what needs it, for the message.

    Raises:
        ModelError: it is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise ModelError(
            f"{use} need the Python package peft, which the worker's environment lacks ({error}); "
            "install it: npx ammd setup --with peft"
        ) from error
    return peft


@torch.no_grad()
def _draw(module: nn.Module, seed: int) -> None:
    """A uniform in ±1/√(its inputs), as a new linear layer; B = 0; in float32 also where the base is not.

    Drawn on the CPU, so that neither device nor dtype of the base matters.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, matrix in adapter_parameters(module).items():
        start = torch.zeros(matrix.shape)
        if ".lora_A." in name:
            nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
        matrix.data = start.to(matrix.device, torch.promote_types(matrix.dtype, torch.float32))


def _linear_layers(module: Any) -> dict[str, nn.Module]:
    """All but the output head, by name."""
    head = module.get_output_embeddings()
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head
    }


def _last_names(layers: Iterable[str]) -> set[str]:
    return {name.rpartition(".")[2] for name in layers}


def _require_adapted(module: nn.Module, wanted: Iterable[str]) -> None:
    """Checks where adapters are.

    In some models with experts, peft takes names of linear layers for those of experts' weights.

    Raises:
        ValueError: the adapters are in other layers than those.
    """
    for name in sorted(_adapted(module).keys() ^ wanted):
        raise ValueError(
            f"peft leaves out the linear layer {name}"
            if name in wanted
            else f"peft adapts {name}, no linear layer"
        )


def _check_targets(module: Any, targets: tuple[str, ...], name: str) -> None:
    head = module.get_output_embeddings()
    layers = dict(module.named_modules())
    for target in targets:
        found = {key: layer for key, layer in layers.items() if f".{key}".endswith(f".{target}")}
        if not found:
            known = _last_names(_linear_layers(module))
            raise ModelError(
                f"{name}: lora.targets: no layer is called {target!r}; its linear layers are "
                f"{', '.join(sorted(known))}"
            )
        for key, layer in found.items():
            if layer is head:
                raise UnsupportedModelError(
                    f"{name}: lora.targets: {key} is the output head, which losses and critics read as it "
                    "is; leave it out"
                )
            if not isinstance(layer, nn.Linear | Conv1D):
                raise UnsupportedModelError(
                    f"{name}: lora.targets: {key} is a {type(layer).__name__}, not a linear layer"
                )


def adapter_parameters(module: nn.Module) -> dict[str, Tensor]:
    """The adapters' matrices by their names in the model."""
    return {name: p for name, p in module.named_parameters() if ".lora_A." in name or ".lora_B." in name}


def peft_names(module: nn.Module) -> dict[str, Tensor]:
    """The adapters' matrices by the names they have in PEFT's files."""
    return {
        f"base_model.model.{name.replace(f'.{_NAME}.', '.')}": matrix
        for name, matrix in adapter_parameters(module).items()
    }


def _adapted(module: nn.Module) -> dict[str, Any]:
    return {name: layer for name, layer in module.named_modules() if is_adapted(layer)}


def is_adapted(layer: nn.Module) -> bool:
    """Whether a layer has an adapter in it."""
    return hasattr(layer, "lora_A")


@torch.no_grad()
def effective_weight(layer: Any) -> Tensor:
    """What a linear layer multiplies by, its adapter included: its own parameter where it has none.

    Added in float32 at least, and rounded once to the weight's dtype.
    """
    if not is_adapted(layer):
        weight: Tensor = layer.weight
        return weight
    base: Tensor = layer.get_base_layer().weight
    change: Tensor = layer.get_delta_weight(_NAME)
    return (base + change).to(base.dtype)


def merged_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of the model that computes the same without adapters; the model itself is not changed.

    Tied weights stay tied: what no adapter touches is the model's own storage.
    """
    layers = _adapted(module)
    adapters = adapter_parameters(module)
    state = {
        key.replace(".base_layer.", "."): value
        for key, value in module.state_dict().items()
        if key not in adapters
    }
    return state | {f"{name}.weight": effective_weight(layer) for name, layer in layers.items()}


def adapter_config(module: Any) -> Any:
    """peft's description of the adapters; a copy."""
    return copy.copy(module.peft_config[_NAME])


@contextlib.contextmanager
def adapter_dropout(module: Any, seed: int) -> Iterator[None]:
    """Within, the adapters' dropout is on and draws from `seed`; the device's generator is put back after.

    Backward must happen within too: recomputed activations draw again. Masks are drawn as passes come, so
    they follow from the seed and from how the step is cut into micro-batches.
    """
    generator = _generator(module.device)
    before = generator.get_state()
    generator.manual_seed(seed)
    dropouts = [layer.lora_dropout for layer in _adapted(module).values()]
    try:
        for dropout in dropouts:
            dropout.train()
        yield
    finally:
        for dropout in dropouts:
            dropout.eval()
        generator.set_state(before)


def _generator(device: torch.device) -> torch.Generator:
    """The one that dropout draws from on a device."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator
