"""The hub is replaced by a folder: its listing and its download, nothing else."""

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx

from py_worker.data.errors import DataError
from py_worker.data.hub import choose
from py_worker.data.records import Record
from py_worker.data.sources import DataSource, read_records
from tests.py.data.fake_hub import FakeHub

FIXTURES = Path(__file__).parents[2] / "fixtures" / "data"
ULTRACHAT = [
    f"data/{split}-{part}-0123456789abcdef.parquet"
    for split, parts in (("train_gen", 1), ("train_sft", 2), ("test_sft", 1))
    for part in (f"0000{index}-of-0000{parts}" for index in range(parts))
]


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, branches: dict[str | None, dict[str, str]]) -> None:
    """Content of a file is a fixture."""
    content = {
        branch: {file: (FIXTURES / name).read_bytes() if name else b"" for file, name in files.items()}
        for branch, files in branches.items()
    }
    FakeHub("someone/data", folder, content).replace_hub(monkeypatch)


def test_reads_the_files_of_a_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {"README.md": "", "data/train.jsonl": "instructions.jsonl", "data/test.jsonl": "with_input.jsonl"}
    use(monkeypatch, tmp_path, {None: files})
    assert len(read_records(DataSource("someone/data")).rows) == 6
    assert len(read_records(DataSource("someone/data", split="test")).rows) == 3


def test_a_split_by_seed_divides_the_train_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path, {None: {"all-rows.jsonl": "instructions.jsonl"}})
    parts = [
        read_records(DataSource("someone/data", split=split, validation_fraction=0.5)).rows
        for split in ("train", "validation")
    ]
    assert sum(map(len, parts)) == 6
    assert not set(parts[0]) & set(parts[1])


def test_a_named_split_is_divided_by_seed_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {"data/train_sft-0.jsonl": "instructions.jsonl", "data/train_gen.jsonl": "with_input.jsonl"}
    use(monkeypatch, tmp_path, {None: files})

    def rows(split: str, fraction: float = 0.5) -> tuple[Record, ...]:
        return read_records(DataSource("someone/data", split=split, validation_fraction=fraction)).rows

    train, validation = rows("train_sft/train"), rows("train_sft/validation")
    assert {*train, *validation} == set(rows("train_sft", 0))
    assert not set(train) & set(validation)
    remedy = "name train_sft/train or train_sft/validation, or leave validation_fraction out"
    for split in ("train_sft", "train_sft/test"):
        with pytest.raises(DataError, match=f"someone/data: .*{split} has two parts.*{remedy}"):
            rows(split)
    with pytest.raises(DataError, match="'validation' needs a validation_fraction above 0"):
        rows("train_sft/validation", 0)


def test_no_file_behind_the_limit_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = (FIXTURES / "instructions.jsonl").read_bytes()
    hub = FakeHub("someone/data", tmp_path, {None: {f"train-{part}.jsonl": content for part in range(3)}})
    hub.replace_hub(monkeypatch)
    for limit, files in ((6, 1), (7, 2), (None, 3)):
        hub.fetched.clear()
        assert len(read_records(DataSource("someone/data", limit=limit)).rows) == (limit or 18)
        assert hub.fetched == [f"train-{part}.jsonl" for part in range(files)]


def test_falls_back_to_the_hubs_parquet_branch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    converted = {"default/test/0000.jsonl": "with_input.jsonl"}
    use(monkeypatch, tmp_path, {None: {"README.md": "", "rows.csv": ""}, "refs/convert/parquet": converted})
    assert len(read_records(DataSource("someone/data", split="test")).rows) == 3


def test_a_revision_is_read_and_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old, new = {"train.jsonl": "with_input.jsonl"}, {"train.jsonl": "instructions.jsonl"}
    use(monkeypatch, tmp_path, {None: new, "refs/pr/1": old, "refs/convert/parquet": new})
    assert len(read_records(DataSource("someone/data")).rows) == 6
    assert len(read_records(DataSource("someone/data@refs/pr/1")).rows) == 3
    with pytest.raises(DataError, match="someone/data: has no revision v9"):
        read_records(DataSource("someone/data@v9"))
    with pytest.raises(DataError, match="the revision comes first"):
        read_records(DataSource("someone/data:all@v9"))
    with pytest.raises(DataError, match="someone/data@: write a revision as owner/name@revision"):
        read_records(DataSource("someone/data@"))


def test_a_description_of_the_data_is_not_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    converted = {"default/train/0000.jsonl": "with_input.jsonl"}
    own = {"dataset_infos.json": "", "rows.csv": ""}
    use(monkeypatch, tmp_path, {None: own, "refs/convert/parquet": converted})
    assert len(read_records(DataSource("someone/data")).rows) == 3


def test_a_missing_split_lists_what_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path, {None: {"train.jsonl": "instructions.jsonl", "README.md": ""}})
    with pytest.raises(DataError, match=r"has no split 'test'; its data files: train.jsonl$"):
        read_records(DataSource("someone/data", split="test"))


def test_failures_of_the_hub_name_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path, {None: {}})
    with pytest.raises(DataError, match=r"no route to the hub\. Check the name and the connection"):
        read_records(DataSource("no/connection"))

    def refuse(*_: object, **__: object) -> list[str]:
        raise HfHubHTTPError.__new__(HfHubHTTPError)

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    with pytest.raises(DataError, match="`hf auth login` for a private dataset"):
        read_records(DataSource("someone/data"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (httpx.ConnectError("refused."), "refused"),
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (httpx.UnsupportedProtocol("no protocol"), "no protocol"),
        (OfflineModeIsEnabled("offline"), "offline"),
    ],
)
@pytest.mark.parametrize("place", ["dataset_info", "list_repo_files", "hf_hub_download"])
def test_without_a_network_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str, error: Exception, message: str
) -> None:
    use(monkeypatch, tmp_path, {None: {"train.jsonl": "instructions.jsonl"}})

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub if place.startswith("hf_") else huggingface_hub.HfApi, place, fail)
    remedy = r"Check the name and the connection \(HTTPS_PROXY or HF_ENDPOINT .* download a file"
    with pytest.raises(DataError, match=rf"^hub dataset someone/data: {message}\. {remedy}"):
        read_records(DataSource("someone/data"))


@pytest.mark.parametrize(
    ("files", "split", "configuration", "chosen"),
    [
        (["data/train-1-of-2.parquet", "data/train-0-of-2.parquet", "data/test-0.parquet"], "train", "",
         ["data/train-0-of-2.parquet", "data/train-1-of-2.parquet"]),
        (["some-dataset-15k.jsonl", "README.md"], "train", "", ["some-dataset-15k.jsonl"]),
        (["train.jsonl", "train.parquet"], "train", "", ["train.parquet"]),
        (["data.train.jsonl", "data.test.jsonl"], "train", "", ["data.train.jsonl"]),
        (["de.train.jsonl", "en.train.jsonl", "en.test.jsonl"], "train", "",
         ["de.train.jsonl", "en.train.jsonl"]),
        (["chunk_1_train.json", "chunk_2_train.json"], "train", "",
         ["chunk_1_train.json", "chunk_2_train.json"]),
        (["main/test-0.parquet", "other/test-0.parquet"], "test", "main", ["main/test-0.parquet"]),
        (["train/0.jsonl", "train/1.jsonl"], "train", "", ["train/0.jsonl", "train/1.jsonl"]),
        (["constrained.jsonl", "test.jsonl"], "train", "", ["constrained.jsonl"]),
        (["rows.jsonl", "val.jsonl"], "train", "", ["rows.jsonl"]),
        (["test.jsonl"], "train", "", []),
        (["test.jsonl"], "jsonl", "", []),
        (["my_train_1.jsonl", "my_train_2.jsonl"], "train", "", ["my_train_1.jsonl", "my_train_2.jsonl"]),
        (["train-part1.jsonl", "train-part2.jsonl"], "train", "", ["train-part1.jsonl", "train-part2.jsonl"]),
        (["train_1.jsonl", "train_2.jsonl"], "train_1", "", ["train_1.jsonl"]),
        (["train.jsonl", "train_extra.jsonl"], "train", "", ["train.jsonl"]),
        (ULTRACHAT, "train_sft", "", ULTRACHAT[1:3]),
        (["default/train_gen/0.parquet", "default/train_sft/0.parquet"], "train_sft", "",
         ["default/train_sft/0.parquet"]),
        (["train.csv"], "train", "", []),
    ],
)  # fmt: skip
def test_choice_of_files(files: list[str], split: str, configuration: str, chosen: list[str]) -> None:
    assert choose(files, split, configuration, "someone/data") == chosen


def test_several_configurations_must_be_told_apart() -> None:
    files = ["main/train-0.parquet", "socratic/train-0.parquet"]
    with pytest.raises(DataError, match="configurations main, socratic; name one: someone/data:main"):
        choose(files, "train", "", "someone/data")


@pytest.mark.parametrize("files", [ULTRACHAT, ["default/train_gen/0.parquet", "default/train_sft/0.parquet"]])
def test_splits_with_a_word_in_common_are_not_put_together(files: list[str]) -> None:
    with pytest.raises(DataError, match="no split 'train', but train_gen, train_sft; name one of these"):
        choose(files, "train", "", "someone/data")
