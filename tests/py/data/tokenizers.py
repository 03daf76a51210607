"""Small tokenizers with special tokens and a chat template."""

from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TEXT = ["Write a response.\n\nResponse:\n\nRed, yellow and blue.\n", "An instruction.\n\n\n### Response:\n"]


@cache
def bpe_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, trained on a few sentences."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|end|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXT * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>", chat_template=CHAT
    )


def word_tokenizer(prepend_scheme: str) -> PreTrainedTokenizerFast:
    """Pieces that tell where a word begins, which a text may do by itself (`first`, `always` or `never`)."""
    pieces = [
        ("<unk>", 0.0),
        *((character, -3.0) for character in "▁abehirsux<>:\n"),
        ("▁hi", -1.0),
        ("hi", -1.5),
    ]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend_scheme, split=False)
    backend.decoder = decoders.Metaspace(prepend_scheme=prepend_scheme)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=AddedToken("<b>", rstrip=True, special=True),
        eos_token="<e>",
        unk_token="<unk>",
        chat_template="<b> {% for m in messages %}{% if m['role'] == 'user' %}user:{{ m['content'] }}\n"
        "{% else %}{{ m['content'] }}{% endif %}{% endfor %}",
    )
