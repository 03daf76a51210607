"""What an export says about generation."""

import pytest
import torch
from transformers import GenerationConfig

from py_worker.models.saving import save_policy
from tests.py.tiny_models import EOS, PAD, tiny_policy

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"temperature": 0.9, "top_p": 0.6, "max_length": 4096}, {"max_length"}),  # Vicuna
        ({"do_sample": True, "top_k": 7, "early_stopping": True}, {"do_sample", "top_k"}),
        (
            {"do_sample": True, "top_k": 7, "no_repeat_ngram_size": 3},
            {"do_sample", "top_k", "no_repeat_ngram_size"},
        ),
    ],
)
def test_settings_that_contradict_each_other_do_not_stop_an_export(tmp_path, settings, kept):
    policy = tiny_policy()
    policy.module.generation_config = own = GenerationConfig(**settings, eos_token_id=7)
    before = own.to_dict()
    save_policy(policy, tmp_path)
    assert policy.module.generation_config is own and own.to_dict() == before
    found, plain = GenerationConfig.from_pretrained(tmp_path), GenerationConfig()
    assert (found.eos_token_id, found.pad_token_id) == (EOS, PAD)
    for name, value in settings.items():
        assert getattr(found, name) == (value if name in kept else getattr(plain, name))


def test_a_configuration_that_says_nothing_of_ties_is_saved(tmp_path, monkeypatch):
    """As those of code that comes with a model may be."""
    policy = tiny_policy(tie=False)
    monkeypatch.delattr(policy.module.config, "tie_word_embeddings")
    monkeypatch.delattr(type(policy.module.config), "tie_word_embeddings", raising=False)
    save_policy(policy, tmp_path)
    assert (tmp_path / "config.json").is_file()
