from py_worker.data.char_tokenizer import char_tokenizer
from py_worker.data.tokenizer_hash import tokenizer_hash
from tests.py.data.tokenizers import bpe_tokenizer


def test_it_sees_all_that_decides_ids() -> None:
    assert tokenizer_hash(char_tokenizer()) == tokenizer_hash(char_tokenizer())
    other_eos, other_chat = char_tokenizer(), char_tokenizer()
    other_eos.eos_token = "a"
    other_chat.chat_template = "{{ messages }}"
    tokenizers = (char_tokenizer(), bpe_tokenizer(), other_eos, other_chat)
    assert len({tokenizer_hash(tokenizer) for tokenizer in tokenizers}) == len(tokenizers)


def test_how_texts_were_padded_last_is_no_part_of_it() -> None:
    used = char_tokenizer()
    used(["a", "bc"], padding=True, truncation=True, max_length=4)
    assert tokenizer_hash(used) == tokenizer_hash(char_tokenizer())
