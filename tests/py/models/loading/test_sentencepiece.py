"""Models as T5 v1.1 and mT5 are published: with `spiece.model`, and no tokenizer.json."""

import io
import itertools
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from torch import Tensor
from transformers import MT5Config, MT5ForConditionalGeneration, T5Config, T5ForConditionalGeneration
from transformers.utils import cached_file

from py_worker.data.batch import collate
from py_worker.data.encoding import Limits, encode
from py_worker.data.records import Record
from py_worker.data.templates import bound_template
from py_worker.models.errors import ModelError
from py_worker.models.loading import sources
from py_worker.models.loading.load import load_policy
from py_worker.models.policy import Policy
from py_worker.models.saving import save_policy
from py_worker.models.spec import ModelSpec
from tests.py.rows import rows_of

torch.set_num_threads(1)

WORDS = (
    ("A cat", "The old dog", "My sister"),
    ("sees", "follows", "likes"),
    ("the sea", "a red ball", "42 birds"),
)
SENTENCES = [f"{who} {does} {what}." for who, does, what in itertools.product(*WORDS)]
TEXTS = [
    *SENTENCES[:3],
    "",
    "The dog\nlikes\n\n\ta cat",
    "  my\tsister  sees\r\n the sea. \n",
    "Ｔｈｅ　ｓｅａ, 4½\u00a0birds\u200b",  # normalised: full width, a fraction, odd spaces
    "Zürich 猫 &",  # unknown
]
READER = "sentencepiece.sentencepiece_model_pb2"
TABLE = 192  # rows of the embedding: more than there are tokens, as T5 and mT5 have
EXTRA = [f"<extra_id_{index}>" for index in range(100)]
COMMON = {"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
SHAPE = {
    "vocab_size": TABLE,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 1,
    "num_heads": 2,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "decoder_start_token_id": 0,
}
# Module, and what its repositories say of the tokenizer.
MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "t5-v1.1": (
        T5ForConditionalGeneration,
        T5Config,
        {**COMMON, "extra_ids": 100, "additional_special_tokens": EXTRA},
    ),
    "mt5": (
        MT5ForConditionalGeneration,
        MT5Config,
        {**COMMON, "extra_ids": 0, "additional_special_tokens": None},
    ),
}
Folder = tuple[Path, sentencepiece.SentencePieceProcessor, int]


def write_model(name: str, folder: Path) -> None:
    """A random one of its kind, without its tokenizer."""
    kind, config, settings = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        module = kind(config(**SHAPE))
    module.save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module", params=MODELS)
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder, what sentencepiece makes of its texts, and how many tokens there are beyond its pieces."""
    folder = tmp_path_factory.mktemp("published")
    write_model(request.param, folder)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=model,
        vocab_size=80,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    assert not (folder / "tokenizer.json").exists()
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return folder, pieces, MODELS[request.param][2]["extra_ids"]


def loaded(folder: Path) -> Policy:
    return load_policy(ModelSpec(str(folder)), device="cpu")


def ids_of(policy: Policy) -> list[list[int]]:
    ids: list[list[int]] = policy.tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    return ids


def logits(policy: Policy) -> Tensor:
    batch = collate(rows_of([[5, 6, 1, 7, 8, 1], [9, 1, 10]], [3, 2]), pad_id=0, device="cpu")
    return policy.logits(policy.response_hidden(batch))


def test_ids_are_sentencepieces_own(published: Folder) -> None:
    folder, pieces, extra = published
    policy = loaded(folder)
    expected = pieces.encode(TEXTS)
    assert ids_of(policy) == expected
    assert len(expected[4]) > 4 and 2 not in expected[4] and 2 in expected[7]
    size = pieces.get_piece_size()
    assert policy.vocab_size == len(policy.tokenizer) == size + extra < policy.head.weight.shape[0] == TABLE
    assert (policy.pad_id, policy.eos_ids) == (0, (1,))
    # The last of the extra tokens comes first, as in T5's table.
    assert policy.tokenizer.convert_tokens_to_ids(EXTRA[:extra]) == [*reversed(range(size, size + extra))]


def test_an_encoders_prompts_end_with_its_eos(published: Folder) -> None:
    folder, pieces, _ = published
    records = [Record("The dog\nlikes", "a\tcat", ("My sister sees.",)), Record(" ".join(SENTENCES), "", ())]
    rows = list(
        encode(records, bound_template("plain", loaded(folder).tokenizer), Limits(30, 60), for_encoder=True)
    )
    assert rows[0].prompt == [*pieces.encode("The dog likes a cat"), 1]
    assert rows[0].response == [*pieces.encode("My sister sees."), 1]
    assert rows[1].prompt == [*pieces.encode(" ".join(SENTENCES))[:29], 1] and rows[1].prompt_cut


@torch.no_grad()
def test_an_export_is_loaded_as_it_was(published: Folder, tmp_path: Path) -> None:
    policy = loaded(published[0])
    save_policy(policy, tmp_path)
    assert (tmp_path / "tokenizer.json").is_file()
    again = loaded(tmp_path)
    assert ids_of(again) == ids_of(policy)
    assert again.tokenizer.get_vocab() == policy.tokenizer.get_vocab()
    assert again.tokenizer("a")["input_ids"] == policy.tokenizer("a")["input_ids"]
    assert torch.equal(logits(again), logits(policy))


@pytest.mark.parametrize("absent", [("sentencepiece", READER), (READER,)], ids=["package", "reader"])
def test_what_is_not_installed_is_named(
    published: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...]
) -> None:
    folder = published[0]
    loaded(folder)
    save_policy(loaded(folder), tmp_path / "export")
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delattr(sentencepiece, "sentencepiece_model_pb2")
    message = rf"{folder.name}: .* spiece\.model, .* sentencepiece and protobuf \(.*{absent[0]}.*pip install"
    with pytest.raises(ModelError, match=message):
        loaded(folder)
    loaded(tmp_path / "export")  # which does without


def test_what_the_hub_has_is_looked_for_in_its_cache(
    published: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("0" * 40)
    shutil.copytree(published[0], snapshot)
    (tmp_path / "models--a--b" / "refs").mkdir()
    (tmp_path / "models--a--b" / "refs" / "v1").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, READER, None)

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("`tiktoken` is required")

    def look(*place: Any, local_files_only: bool, **options: Any) -> Any:
        assert local_files_only  # nothing more is asked of the hub
        return cached_file(*place, local_files_only=local_files_only, **options)

    monkeypatch.setattr(sources.AutoTokenizer, "from_pretrained", fail)
    monkeypatch.setattr(sources, "cached_file", look)
    with pytest.raises(ModelError, match=r"a/b@v1: .* sentencepiece and protobuf"):
        load_policy(ModelSpec("a/b@v1"), device="cpu")
    with pytest.raises(ModelError, match="a/b: cannot be loaded: `tiktoken`"):  # of main nothing was fetched
        load_policy(ModelSpec("a/b"), device="cpu")


def test_a_file_that_is_damaged_is_not_put_down_to_packages(
    published: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model("t5-v1.1", tmp_path)
    (tmp_path / "spiece.model").write_bytes((published[0] / "spiece.model").read_bytes()[:200])
    with pytest.raises(ModelError, match="cannot be loaded"):
        loaded(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    monkeypatch.setitem(sys.modules, READER, None)
    with pytest.raises(ModelError, match=r"tokenizer\.json: is truncated or damaged"):
        loaded(tmp_path)
