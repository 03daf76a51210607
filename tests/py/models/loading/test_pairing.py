"""Pairs of models before they are loaded: what is read of each kind of source."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, PreTrainedTokenizerFast, T5Config

from py_worker.data.char_tokenizer import char_tokenizer
from py_worker.models import adapter_files
from py_worker.models.errors import UnsupportedModelError, VocabularyError
from py_worker.models.loading import sources
from py_worker.models.loading.pairing import require_pair
from py_worker.models.spec import ModelSpec
from tests.py.tiny_models import tiny_tokenizer

BUILTIN = ModelSpec("builtin:llama", init="random")


def without_weights(
    folder: Path,
    kind: type[LlamaConfig] | type[T5Config] = LlamaConfig,
    tokenizer: PreTrainedTokenizerFast | None = None,
) -> ModelSpec:
    kind().save_pretrained(folder)
    (tokenizer or tiny_tokenizer()).save_pretrained(folder)
    return ModelSpec(str(folder))


def adapters_of(base: ModelSpec, folder: Path) -> ModelSpec:
    folder.mkdir()
    (folder / adapter_files.CONFIG).write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": base.source})
    )
    return ModelSpec(str(folder))


def test_a_builtin_model_has_tokens_of_its_own(tmp_path: Path) -> None:
    require_pair(BUILTIN, without_weights(tmp_path / "same", tokenizer=char_tokenizer()))
    with pytest.raises(VocabularyError):
        require_pair(BUILTIN, without_weights(tmp_path / "other"))


def test_adapters_are_what_their_base_is(tmp_path: Path) -> None:
    llama = without_weights(tmp_path / "llama")
    require_pair(llama, adapters_of(llama, tmp_path / "on-llama"))
    t5 = adapters_of(without_weights(tmp_path / "t5", T5Config), tmp_path / "on-t5")
    with pytest.raises(UnsupportedModelError, match=r"teacher '.*on-t5' is an encoder-decoder"):
        require_pair(llama, t5)


def test_code_of_a_model_runs_where_its_own_specification_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted: dict[str, list[bool]] = {"student": [], "teacher": []}

    def watch(name: str) -> None:
        read = getattr(sources, name)

        def watched(location: Any, *, trust_remote_code: bool, source: str) -> Any:
            trusted[Path(source).name].append(trust_remote_code)
            return read(location, trust_remote_code=trust_remote_code, source=source)

        monkeypatch.setattr(sources, name, watched)

    watch("has_encoder")
    watch("read_tokenizer")
    student, teacher = (without_weights(tmp_path / name) for name in trusted)
    require_pair(student, replace(teacher, trust_remote_code=True))
    assert trusted == {"student": [False, False], "teacher": [True, True]}
