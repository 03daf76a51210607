from copy import deepcopy
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from py_worker.data.char_tokenizer import ALPHABET, char_tokenizer
from py_worker.data.encoding import EncodedRow, Limits, encode
from py_worker.data.errors import DataError
from py_worker.data.records import Message, Record
from py_worker.data.templates import bound_template
from tests.py.data.tokenizers import bpe_tokenizer, word_tokenizer

CHAR = char_tokenizer()
BPE = bpe_tokenizer()


def one(record: Record, limits: Limits, template: str = "plain") -> EncodedRow:
    (row,) = encode([record], bound_template(template, CHAR), limits)
    return row


def test_prompt_response_and_eos() -> None:
    row = one(Record("up", "ab", ("AB", "other")), Limits(20, 40))
    assert CHAR.decode(row.prompt) == "up\nab\n"
    assert CHAR.decode(row.response) == "AB<eos>"
    assert (row.has_eos, row.prompt_cut) == (True, False)


def test_a_long_prompt_keeps_its_start() -> None:
    row = one(Record("upper", "abc", ("ABC",)), Limits(7, 40))
    assert CHAR.decode(row.prompt) == "upper\na"
    assert row.prompt_cut


@pytest.mark.parametrize(
    ("max_tokens", "response", "has_eos"),
    [(10, "ABC<eos>", True), (9, "ABC", False), (8, "AB", False), (7, "A", False)],
)
def test_a_response_that_reaches_the_limit_has_no_eos(max_tokens: int, response: str, has_eos: bool) -> None:
    row = one(Record("ab", "cd", ("ABC",)), Limits(6, max_tokens))
    assert (CHAR.decode(row.response), row.has_eos) == (response, has_eos)


def test_an_empty_answer_is_an_eos_and_a_missing_one_is_nothing() -> None:
    limits = Limits(20, 40)
    assert one(Record("a", "", ("",)), limits).response == [CHAR.eos_token_id]
    row = one(Record("a", "", ()), limits)
    assert (row.response, row.has_eos) == ([], False)


@given(
    st.lists(st.text(alphabet=ALPHABET, min_size=1, max_size=12), min_size=3, max_size=3),
    st.integers(1, 15),
    st.integers(1, 15),
)
def test_limits_hold(texts: list[str], max_prompt: int, room: int) -> None:
    instruction, text, answer = texts
    row = one(Record(instruction, text, (answer,)), Limits(max_prompt, max_prompt + room))
    assert len(row.prompt) <= max_prompt
    assert len(row.prompt) + len(row.response) <= max_prompt + room
    assert row.has_eos == (row.response[-1] == CHAR.eos_token_id)
    assert f"{instruction}\n{text}\n".startswith(CHAR.decode(row.prompt))


def test_the_prompt_is_the_one_that_generation_sees_even_where_a_token_spans_the_border() -> None:
    # The tokenizer knows a token of several newlines, so prompt and answer would merge.
    joint = BPE.encode("Response:\n\n\nRed")
    alone = BPE.encode("Response:\n")
    assert joint[: len(alone)] != alone
    (row,) = encode([Record("Response:", "", ("\n\nRed",))], bound_template("plain", BPE), Limits(20, 40))
    assert row.prompt == alone
    assert BPE.decode(row.response) == "\n\nRed<|end|>"


def test_answers_are_tokenized_in_their_context() -> None:
    (row,) = encode([Record("Write a", "", ("Red, yellow",))], bound_template("plain", BPE), Limits(20, 40))
    assert row.prompt + row.response[:-1] == BPE.encode("Write a\nRed, yellow")


def test_special_tokens_are_read_in_chats_only() -> None:
    end = BPE.eos_token_id
    record = Record("Say <|end|> now", "", ("<|end|>",))
    (plain,) = encode([record], bound_template("plain", BPE), Limits(60, 90))
    assert end not in plain.prompt
    assert plain.response.count(end) == 1
    (chat,) = encode([Record("Hi", "", ("Red",))], bound_template("chat", BPE), Limits(60, 90))
    assert BPE.convert_ids_to_tokens(chat.prompt)[0] == "<|user|>"
    assert BPE.decode(chat.response) == "Red<|end|>"


def test_a_chat_ends_as_its_template_ends_answers() -> None:
    tokenizer = deepcopy(BPE)
    tokenizer.chat_template = tokenizer.chat_template.replace("<|end|>", "<|user|>")
    (user,) = BPE.encode("<|user|>")
    (chat,) = encode([Record("Hi", "", ("Red",))], bound_template("chat", tokenizer), Limits(60, 90))
    assert chat.response == [*BPE.encode("Red"), user] and chat.has_eos
    (plain,) = encode([Record("Hi", "", ("Red",))], bound_template("plain", tokenizer), Limits(60, 90))
    assert plain.response == [*BPE.encode("Red"), BPE.eos_token_id]


def test_a_record_of_a_chat_holds_no_special_tokens() -> None:
    """Where it spells them, their characters are tokenized."""
    specials = set(BPE.all_special_ids) | set(BPE.convert_tokens_to_ids(["<|user|>", "<|assistant|>"]))
    limits = Limits(200, 300)
    record = Record("Say <|end|><|assistant|> Red", "", ("A <|end|>",))
    (chat,) = encode([record], bound_template("chat", BPE), limits)
    assert [BPE.decode(i) for i in chat.prompt if i in specials] == ["<|user|>", "<|end|>", "<|assistant|>"]
    assert BPE.decode(chat.prompt) == "<|user|>Say <|end|><|assistant|> Red<|end|><|assistant|>"
    assert [i for i in chat.response if i in specials] == [BPE.eos_token_id] and chat.has_eos
    assert BPE.decode(chat.response) == "A <|end|><|end|>"
    # What the record does not spell is as it would be anyway, in its own row and in others.
    user = BPE.encode("Say <|end|><|assistant|> Red", split_special_tokens=True)
    assert chat.prompt[1:-2] == user
    plain, answered, _, unanswered = encode(
        [Record("Hi", "", ("Red",)), Record("Hi", "", ("<|user|>",)), record, Record("<|end|>", "", ())],
        bound_template("chat", BPE),
        limits,
    )
    assert answered.prompt == plain.prompt == BPE.encode("<|user|>Hi<|end|><|assistant|>")
    assert unanswered.response == []
    assert [i for i in unanswered.prompt if i in specials] == [i for i in chat.prompt if i in specials]


def test_a_conversations_earlier_messages_hold_no_special_tokens_either() -> None:
    history = (Message("user", "Say <|end|>"), Message("assistant", "<|user|>"))
    (chat,) = encode([Record("Hi", "", ("Red",), "", history)], bound_template("chat", BPE), Limits(200, 300))
    text = ["<|user|>", "Say <|end|>", "<|end|>", "<|assistant|>", "<|user|>", "<|end|>", "<|user|>", "Hi"]
    spelled = [BPE.encode(part, split_special_tokens=index in (1, 4)) for index, part in enumerate(text)]
    assert chat.prompt == [*chain.from_iterable(spelled), *BPE.encode("<|end|><|assistant|>")]
    assert BPE.decode(chat.response) == "Red<|end|>"


@given(st.lists(st.sampled_from(["<|end|>", "<|user|>", "a", " ", "\U000f0000", "Red", "\n"]), max_size=8))
def test_only_the_template_speaks_in_special_tokens(words: list[str]) -> None:
    text = "".join(words)
    (chat,) = encode([Record(text, "", (text,))], bound_template("chat", BPE), Limits(500, 900))
    inner = BPE.encode(text, split_special_tokens=True)
    user, end, assistant = BPE.convert_tokens_to_ids(["<|user|>", "<|end|>", "<|assistant|>"])
    assert chat.prompt == [user, *inner, end, assistant]
    assert chat.response == [*inner, end]


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
def test_spelling_a_special_token_changes_nothing_before_it(scheme: str) -> None:
    tokenizer = word_tokenizer(scheme)
    records = [Record("hi", "", (answer,)) for answer in ("hi", "hi <e>", "<b>")]
    plain, *spelled = encode(
        [*records, Record("hi <e>", "", ("hi",))], bound_template("chat", tokenizer), Limits(60, 90)
    )
    assert [row.prompt for row in spelled[:2]] == [plain.prompt] * 2
    tokens = [tokenizer.convert_ids_to_tokens(row.response) for row in spelled]
    assert tokens == [["hi", "▁", "<", "e", ">", "<e>"], ["<", "b", ">", "<e>"], ["hi", "<e>"]]
    asked = tokenizer.convert_ids_to_tokens(spelled[2].prompt)
    assert asked == [*tokenizer.convert_ids_to_tokens(plain.prompt)[:-1], "▁", "<", "e", ">", "\n"]
    assert asked[0] == "<b>" and (asked[1] == "▁") == (scheme == "always")


def test_many_rows_are_those_of_single_calls() -> None:
    records = [Record(f"ask {i}", "", (f"answer {i}",)) for i in range(5000)]
    rows = list(encode(records, bound_template("plain", CHAR), Limits()))
    assert len(rows) == 5000
    for i in (0, 2047, 2048, 4999):
        assert rows[i] == one(records[i], Limits())


def test_what_cannot_be_encoded() -> None:
    with pytest.raises(DataError, match="no template 'vicuna'; there are alpaca, chat, plain"):
        one(Record("a", "", ("b",)), Limits(), "vicuna")
    for prompt, total in ((0, 5), (5, 5), (6, 5)):
        with pytest.raises(DataError, match="must leave room for a response"):
            Limits(prompt, total)
    without_eos = char_tokenizer()
    without_eos.eos_token = None
    with pytest.raises(DataError, match="no EOS token"):
        list(encode([Record("a", "", ("b",))], bound_template("plain", without_eos), Limits()))


def ending_tokenizer() -> PreTrainedTokenizerFast:
    """The characters with `<eos>` behind each text, as T5's tokenizer has it."""
    tokenizer = char_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", tokenizer.eos_token_id)]
    )
    return tokenizer


def for_encoder(record: Record, limits: Limits) -> EncodedRow:
    (row,) = encode([record], bound_template("plain", ending_tokenizer()), limits, for_encoder=True)
    return row


def test_a_prompt_for_an_encoder_ends_as_the_tokenizer_ends_texts() -> None:
    row = for_encoder(Record("up", "ab", ("AB",)), Limits(20, 40))
    assert (CHAR.decode(row.prompt), CHAR.decode(row.response)) == ("up\nab\n<eos>", "AB<eos>")
    (plain,) = encode(
        [Record("up", "ab", ("AB",))], bound_template("plain", ending_tokenizer()), Limits(20, 40)
    )
    assert CHAR.decode(plain.prompt) == "up\nab\n"


def test_its_end_is_kept_when_it_is_cut() -> None:
    row = for_encoder(Record("upper", "abc", ("ABC",)), Limits(7, 40))
    assert (CHAR.decode(row.prompt), row.prompt_cut) == ("upper\n<eos>", True)
    assert for_encoder(Record("upper", "", ("A",)), Limits(7, 40)).prompt_cut is False


@pytest.mark.parametrize(
    ("max_tokens", "response", "has_eos"), [(11, "ABC<eos>", True), (10, "ABC", False), (9, "AB", False)]
)
def test_its_end_counts_as_a_token(max_tokens: int, response: str, has_eos: bool) -> None:
    row = for_encoder(Record("ab", "cd", ("ABC",)), Limits(7, max_tokens))
    assert (len(row.prompt), CHAR.decode(row.response), row.has_eos) == (7, response, has_eos)


def test_a_response_of_a_decoder_is_tokenized_by_itself() -> None:
    """A byte-pair tokenizer would join it with the prompt before it."""
    record = Record("the", "", ("the cat",))
    (joint,) = encode([record], bound_template("text", BPE), Limits(20, 40))
    (apart,) = encode([record], bound_template("text", BPE), Limits(20, 40), for_encoder=True)
    alone = BPE("the cat", add_special_tokens=False)["input_ids"]
    assert apart.response[:-1] == alone
    assert apart.prompt == joint.prompt
    (bare,) = encode([Record("the", "", ())], bound_template("text", BPE), Limits(20, 40), for_encoder=True)
    assert (bare.response, bare.has_eos) == ([], False)


def test_a_tokenizer_that_begins_texts_is_refused_for_an_encoder() -> None:
    tokenizer = char_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<eos> $A", special_tokens=[("<eos>", tokenizer.eos_token_id)]
    )
    with pytest.raises(DataError, match="puts a special token before a text"):
        list(
            encode(
                [Record("a", "", ("b",))], bound_template("plain", tokenizer), Limits(7, 40), for_encoder=True
            )
        )


def unigram_tokenizer() -> PreTrainedTokenizerFast:
    """With its special tokens among its pieces, as T5 has them."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((c, -3.0) for c in "▁</>aespdx"), ("<x>", 0.0)]
    backend = Tokenizer(models.Unigram(pieces, unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    backend.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<x>"],
    )


@pytest.mark.parametrize("for_encoder", [False, True])
def test_a_record_that_spells_a_piece_that_is_special_keeps_its_text(for_encoder: bool) -> None:
    tokenizer = unigram_tokenizer()
    assert 1 in tokenizer("a </s>", split_special_tokens=True)["input_ids"], "what is mended"
    record = Record("x </s> <pad>a", "", ("e <x></s>d",))
    (row,) = encode([record], bound_template("text", tokenizer), Limits(60, 120), for_encoder=for_encoder)
    assert {0, 1, 13}.isdisjoint([*row.prompt, *row.response[:-1]])
    assert tokenizer.decode(row.prompt) == record.instruction
    assert tokenizer.decode(row.response[:-1]).strip() == record.outputs[0]
    assert row.response[-1] == 1


def test_a_template_keeps_its_special_tokens_beside_a_record_that_spells_them() -> None:
    """And a user's own added tokens stay what they are."""
    tokenizer = unigram_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}</s>{% endfor %}"
    tokenizer.add_tokens(["\n"])
    plain, spelled = (
        next(encode([Record(text, "", ("e",))], bound_template("chat", tokenizer), Limits(60, 120)))
        for text in ("a\nx", "a\nx </s>")
    )
    assert plain.prompt[-1] == spelled.prompt[-1] == 1
    assert spelled.prompt.count(1) == 1 and 2 not in spelled.prompt
    newline = tokenizer.convert_tokens_to_ids("\n")
    assert plain.prompt.count(newline) == spelled.prompt.count(newline) == 1


def test_unknown_characters_are_no_special_tokens() -> None:
    tokenizer = unigram_tokenizer()
    (row,) = encode(
        [Record("aé", "", ("é",))], bound_template("text", tokenizer), Limits(60, 120), for_encoder=True
    )
    assert row.prompt == [*tokenizer("aé", add_special_tokens=False)["input_ids"]]
    assert 2 in row.prompt and 2 in row.response
