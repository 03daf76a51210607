"""Writing a policy, with its adapters added or these alone."""

import copy
from pathlib import Path
from typing import Any, Final

from transformers import GenerationConfig

from py_worker.models.adapter_files import CONFIG, save_adapters
from py_worker.models.errors import UnsupportedModelError
from py_worker.models.lora import merged_state
from py_worker.models.policy import Policy

_COMMON: Final = ("bos_token_id", "max_length", "max_new_tokens", "repetition_penalty")
_OF_SAMPLING: Final = ("do_sample", "temperature", "top_k", "top_p", "min_p")


def save_policy(policy: Policy, folder: Path) -> None:
    """Writes model and tokenizer in Hugging Face format (safetensors), loadable with the Auto classes.

    Adapters are added into what is written; the policy itself is not changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    merged = {"state_dict": merged_state(policy.module)} if policy.adapters else {}
    module = policy.module
    own, only_said = module.generation_config, _only_said_to_be_tied(module)
    module.generation_config = _generation_settings(policy)
    if only_said:
        module.config.tie_word_embeddings = False
    try:
        module.save_pretrained(folder, **merged)
    finally:
        module.generation_config = own
        if only_said:
            module.config.tie_word_embeddings = True
    policy.tokenizer.save_pretrained(folder)


def _only_said_to_be_tied(module: Any) -> bool:
    """Whether an encoder-decoder's head is not its embedding, as T5 v1.1's is not.

    transformers 5 calls all of them tied, and versions before it then tie the head that they read.
    """
    if not module.config.is_encoder_decoder or getattr(module.config, "scale_decoder_outputs", False):
        return False
    return module.get_output_embeddings().weight is not module.get_input_embeddings().weight


def _generation_settings(policy: Policy) -> Any:
    """The module's own, with the ids that the policy ends and pads with.

    The library reads settings that contradict each other (Vicuna's and Llama 2's have a temperature and do
    not sample) and refuses to write them. Of such the common ones are kept, those of sampling where it is on.
    """
    own = policy.module.generation_config
    eos = policy.eos_ids[0] if len(policy.eos_ids) == 1 else list(policy.eos_ids)
    ids = {"eos_token_id": eos, "pad_token_id": policy.pad_id, **policy.decoder_start}
    settings = copy.deepcopy(own)
    settings.update(**ids)
    try:
        settings.validate(strict=True)
    except ValueError:
        kept = _COMMON + (_OF_SAMPLING if own.do_sample else ())
        return GenerationConfig(**{name: getattr(own, name) for name in kept}, **ids)
    return settings


def save_policy_adapters(policy: Policy, folder: Path) -> None:
    """Writes the adapters alone, with the tokenizer, in PEFT's format; they name `policy.base` as theirs.

    Raises:
        UnsupportedModelError: it has no adapters, or no source holds the weights that they were added to but
            other adapters with their base, of which PEFT would read the base alone.
    """
    remedy = "export it in the form merged"
    if not policy.adapters:
        raise UnsupportedModelError(f"{policy.name}: has no adapters; {remedy}")
    if policy.base is None:
        raise UnsupportedModelError(
            f"{policy.name}: its adapters belong to weights that no file holds (layers of a model, or random "
            f"ones); {remedy}"
        )
    if (Path(policy.base) / CONFIG).is_file():
        raise UnsupportedModelError(
            f"{policy.name}: its adapters lie on the adapters in {policy.base}, which PEFT would leave out; "
            f"{remedy}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    save_adapters(policy.module, folder, policy.base)
    policy.tokenizer.save_pretrained(folder)
