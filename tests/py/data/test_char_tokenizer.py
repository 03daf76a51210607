from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from py_worker.data.char_tokenizer import ALPHABET, char_tokenizer

TOKENIZER = char_tokenizer()


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    TOKENIZER.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_vocabulary_is_fixed() -> None:
    assert len(TOKENIZER) == 99
    assert (TOKENIZER.pad_token_id, TOKENIZER.eos_token_id, TOKENIZER.unk_token_id) == (0, 1, 2)
    assert TOKENIZER.encode("\n ~a", add_special_tokens=False) == [3, 4, 98, 69]


@given(st.text(alphabet=ALPHABET, max_size=40))
def test_text_survives_a_round_trip(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert len(ids) == len(text)
    assert TOKENIZER.decode(ids) == text


def test_saved_and_loaded_by_auto_tokenizer(reloaded: PreTrainedTokenizerFast) -> None:
    text = "a  b\n<eos>!"
    assert reloaded.encode(text) == TOKENIZER.encode(text)
    assert reloaded.decode(reloaded.encode(text)) == text
    assert reloaded.get_vocab() == TOKENIZER.get_vocab()
    assert (reloaded.pad_token_id, reloaded.eos_token_id) == (0, 1)


def test_special_tokens_cannot_be_spelled_in_text(reloaded: PreTrainedTokenizerFast) -> None:
    for tokenizer in (TOKENIZER, reloaded):
        assert 1 not in tokenizer.encode("<eos>")
        assert len(tokenizer.encode("<eos>")) == 5


def test_unknown_characters_and_special_tokens() -> None:
    assert TOKENIZER.encode("aé\t") == [69, 2, 2]
    assert TOKENIZER.decode([69, 1, 0], skip_special_tokens=True) == "a"
