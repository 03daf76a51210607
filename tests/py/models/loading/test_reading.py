"""Files of a model that are missing or damaged: each is named, with what to do."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import SafetensorError
from transformers.utils import logging

from py_worker.models.errors import ModelError
from py_worker.models.loading.load import load_policy
from py_worker.models.loading.reading import reading
from py_worker.models.saving import save_policy
from py_worker.models.spec import ModelSpec
from tests.py.tiny_models import tiny_policy

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
WEIGHTS = "model.safetensors"
SHARD = "model-00002-of-"
TRUNCATED = r"is truncated or damaged( or .*)?.* \(.+\); download or copy it again$"
EMPTY = r"is empty; download or copy it again$"
IS_POINTER = r"is a pointer of Git LFS, not the file; run `git lfs pull` there, or download or copy it again$"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model, and in `shards` the same with its weights in several files."""
    path = tmp_path_factory.mktemp("model")
    policy = tiny_policy()
    save_policy(policy, path)
    policy.module.save_pretrained(path / "shards", max_shard_size="4KB")
    policy.tokenizer.save_pretrained(path / "shards")
    return path


def load(folder: Path) -> None:
    load_policy(ModelSpec(str(folder)), device="cpu")


@pytest.mark.parametrize(
    ("name", "shards"),
    [
        (WEIGHTS, False),
        (SHARD, True),
        (f"{WEIGHTS}.index.json", True),
        ("config.json", False),
        ("tokenizer.json", False),
        ("tokenizer_config.json", False),
    ],
)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda whole: whole[: len(whole) // 2], TRUNCATED),
        (lambda _: b"", EMPTY),
        (lambda _: POINTER, IS_POINTER),
    ],
    ids=["truncated", "empty", "pointer"],
)
def test_a_damaged_file_is_named(
    folder: Path, tmp_path: Path, name: str, shards: bool, content: Callable[[bytes], bytes], message: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder / "shards" if shards else folder, copy)
    load(copy)
    (path,) = copy.glob(f"{name}*" if name == SHARD else name)
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(ModelError, match=rf"^{re.escape(str(path))}: {message}"):
        load(copy)


def test_a_pointer_in_place_of_a_gguf_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(POINTER)
    (tmp_path / WEIGHTS).write_bytes(b"")  # of another model
    with pytest.raises(ModelError, match=f"^{path}: {IS_POINTER}"):
        load_policy(ModelSpec(f"gguf:{path}"), device="cpu")


def test_what_the_hub_keeps_is_to_be_deleted_first(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "models--a--b"
    snapshot = repository / "snapshots" / ("0" * 40)
    shutil.copytree(folder, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    (snapshot / WEIGHTS).write_bytes(b"")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=f"{WEIGHTS}: is empty; delete {repository} and download"):
        load_policy(ModelSpec("a/b"), device="cpu")


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["tokenizer.json", "tokenizer_config.json"], " and no tokenizer_config.json;"),
        (["tokenizer.json"], ";"),
    ],
)
def test_a_folder_without_a_tokenizer_is_told_which_files_are_missing(
    folder: Path, tmp_path: Path, missing: list[str], named: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for name in missing:
        (copy / name).unlink()
    with pytest.raises(ModelError, match=f"{copy} has no tokenizer.json or spiece.model{named} copy the tok"):
        load(copy)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("one of: \n(1) this\n(2) that"), r"one of: \(1\) this \(2\) that"),
        (ValueError("first.\nsecond"), r"first\. \(give"),
        (OSError(), "OSError"),
        (SafetensorError("of no file here"), "of no file here"),
    ],
)
def test_what_a_library_says_is_not_cut_where_it_begins(error: Exception, message: str) -> None:
    expected = f"^model: cannot be loaded: {message}"
    with pytest.raises(ModelError, match=expected), reading("model", lambda: ()):
        raise error


def test_a_mistake_of_ours_stays_one(tmp_path: Path) -> None:
    whole, gone = tmp_path / "config.json", tmp_path / "gone.json"
    whole.write_text("{}")
    shown = logging.is_progress_bar_enabled()
    with pytest.raises(TypeError, match="ours"), reading("model", lambda: (whole, gone)):
        raise TypeError("ours")
    assert logging.is_progress_bar_enabled() == shown


@pytest.mark.parametrize(
    ("settings", "files", "says"),
    [
        ('{"tokenizer_class": "NobodysTokenizer"}', ["vocab.json", "merges.txt"], "Couldn.t instantiate"),
        (
            '{"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", null]}}',
            ["own.tiktoken"],
            "custom code",
        ),
    ],
    ids=["unknown-class", "custom-code"],
)
def test_a_tokenizer_of_another_kind_keeps_the_librarys_words(
    folder: Path, tmp_path: Path, settings: str, files: list[str], says: str
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    (copy / "tokenizer.json").unlink()
    (copy / "tokenizer_config.json").write_text(settings)
    for name in files:
        (copy / name).write_text("{}")
    with pytest.raises(ModelError) as caught:
        load(copy)
    assert "copy the" not in str(caught.value)
    assert re.search(says, str(caught.value))


def test_a_damaged_vocabulary_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    (copy / "tokenizer.json").unlink()
    (copy / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    (copy / "merges.txt").write_text("#version: 0.2\n")
    (copy / "vocab.json").write_text('{"a": 0, "b"')
    with pytest.raises(ModelError, match=r"vocab\.json: is truncated or damaged"):
        load(copy)
