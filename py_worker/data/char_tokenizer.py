"""The built-in tokenizer: one token per character, 99 in all, nothing to download."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"
ALPHABET = "\n" + "".join(map(chr, range(0x20, 0x7F)))


def char_tokenizer() -> PreTrainedTokenizerFast:
    """Newline and printable ASCII, one token each; everything else is unknown.

    The ids are fixed: pad 0, eos 1, unknown 2, then the characters in order of their code points. A text that
    spells `<eos>` is read as five characters, never as the token. `save_pretrained` writes files that
    `AutoTokenizer.from_pretrained` loads.
    """
    vocabulary = {token: index for index, token in enumerate([PAD, EOS, UNKNOWN, *ALPHABET])}
    backend = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
    )
