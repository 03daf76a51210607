"""Adapters in PEFT's format: a folder with `adapter_config.json` and `adapter_model.safetensors`."""

import json
import warnings
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

from py_worker.hub_name import split_revision
from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.lora import adapter_config, peft_names, require_peft

CONFIG: Final = "adapter_config.json"
_WEIGHTS: Final = "adapter_model.safetensors"
FILES: Final = (CONFIG, _WEIGHTS)


def base_of(folder: Path) -> str:
    """Source of the model that the adapters in a folder belong to.

    Raises:
        ModelError: the configuration cannot be read, or names no base.
        UnsupportedModelError: adapters of another kind than LoRA.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind, base = config["peft_type"], config["base_model_name_or_path"]
        revision = config.get("revision")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / CONFIG}: is no configuration of adapters: {error!r}") from error
    if kind != "LORA":
        raise UnsupportedModelError(f"{folder}: adapters of kind {kind} are not supported (LORA is)")
    if not isinstance(base, str) or not base:
        raise ModelError(f"{folder / CONFIG}: base_model_name_or_path names no model; write its source there")
    return f"{base}@{revision}" if revision and "@" not in base and _on_hub(base) else base


def _on_hub(base: str) -> bool:
    """Whether a source is a hub name rather than a folder, a file or a package."""
    return not base.startswith((".", "/", "~")) and ":" not in base and not Path(base).exists()


def save_adapters(module: Any, folder: Path, base: str) -> None:
    """Writes a model's adapters; `base` is the source of the model they were added to."""
    config = adapter_config(module)
    config.base_model_name_or_path, config.revision = split_revision(base) if _on_hub(base) else (base, None)
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules)  # a set, whose order is another in each process
    config.save_pretrained(folder)
    tensors = {name: matrix.detach().contiguous() for name, matrix in peft_names(module).items()}
    save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})


def merge_adapters(module: Any, folder: Path) -> Any:
    """The model with the adapters of a folder added into its weights.

    Args:
        module: their base; used up.
        folder: in PEFT's format, weights as safetensors.

    Raises:
        ModelError: peft is not installed, or the weights are missing, unreadable or of another model.
    """
    library = require_peft(f"{folder}: adapters")
    weights = folder / _WEIGHTS
    if not weights.is_file():
        raise ModelError(f"{weights}: no such file; save the adapters as safetensors")
    config = library.PeftConfig.from_pretrained(str(folder))
    # What is drawn is overwritten; the warnings are about where the base came from, and within the libraries.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
        wrapped = library.get_peft_model(module, config)
    tensors = load_file(weights)
    own = peft_names(wrapped.get_base_model())
    wrong = [f"{name} is missing" for name in own if name not in tensors]
    wrong += [
        f"{name} is {list(tensors[name].shape)} instead of {list(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if not wrong:
        found = library.set_peft_model_state_dict(wrapped, tensors)
        wrong = [f"{name} is in no layer" for name in found.unexpected_keys]
    if wrong:
        raise ModelError(
            f"{folder}: its adapters do not fit their base {base_of(folder)}: "
            f"{wrong[0]} ({len(wrong)} such); take the model that they were trained on"
        )
    return wrapped.merge_and_unload().requires_grad_(True)
