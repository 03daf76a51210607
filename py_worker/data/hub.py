"""Data files of a dataset on the Hugging Face hub."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from py_worker.data.errors import DataError
from py_worker.data.files import READERS
from py_worker.hub_name import split_revision

# The hub converts most datasets and keeps the result in this branch, as CONFIGURATION/SPLIT/NNNN.parquet.
_CONVERTED = "refs/convert/parquet"
_SPLIT_WORDS = ("train", "validation", "valid", "val", "dev", "test", "eval")
_WORD = re.compile(r"[/_.\-]")
# What a part of a split has behind its name: -00000-of-00003-HASH, _1, -part2.
_PART = re.compile(r"[-_.](part|shard)?[-_.]?\d+([-_.]of[-_.]\d+.*)?$")
# A description that many repositories have beside their data.
_DESCRIPTION = "dataset_infos.json"


@dataclass(frozen=True)
class HubTree:
    """The files of a dataset's repository at one commit.

    Attributes:
        repository: `owner/dataset`.
        commit: what a branch pointed at when it was listed.
        files: their paths in the repository.
    """

    repository: str
    commit: str
    files: tuple[str, ...]

    def fetch(self, file: str) -> Path:
        """Downloads a file, or takes it from the hub's local cache.

        Raises:
            DataError: it cannot be downloaded.
        """
        from huggingface_hub import hf_hub_download

        with _errors_of(self.repository):
            return Path(hf_hub_download(self.repository, file, repo_type="dataset", revision=self.commit))


def trees(name: str) -> Iterator[HubTree]:
    """A dataset's files as they are, then as the hub converts them, where it does.

    Args:
        name: `owner/dataset`; or `owner/dataset@revision`, for the files of that alone.

    Raises:
        DataError: no such dataset or revision, or no connection.
    """
    try:
        repository, revision = split_revision(name)
    except ValueError as error:
        raise DataError(str(error)) from error
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RevisionNotFoundError
    except ImportError as error:  # pragma: no cover - transformers brings it
        raise DataError(
            f"{repository}: a hub dataset needs huggingface_hub (pip install huggingface_hub); or give a path"
        ) from error
    for branch in (None, _CONVERTED) if revision is None else (revision,):
        with _errors_of(repository):
            try:
                commit = HfApi().dataset_info(repository, revision=branch).sha
                files = HfApi().list_repo_files(repository, repo_type="dataset", revision=commit)
            except RevisionNotFoundError as error:
                if revision is None:
                    continue
                raise DataError(
                    f"hub dataset {repository}: has no revision {revision}; "
                    "name one of its branches, tags or commits"
                ) from error
        yield HubTree(repository, str(commit), tuple(files))


def download(name: str, split: str) -> Iterator[Path]:
    """Downloads the files of one split, each when it is asked for, or takes them from the hub's local cache.

    Args:
        name: `owner/dataset`, `owner/dataset@revision`, and either with `:configuration` behind it.
        split: the hub's name of the split.

    Raises:
        DataError: no such dataset, revision or split, an ambiguous configuration, or no connection.
    """
    repository, _, configuration = name.partition(":")
    if "@" in configuration:
        raise DataError(f"{name}: the revision comes first: owner/dataset@revision:configuration")
    listed: list[str] = []
    for tree in trees(repository):
        listed += tree.files
        if chosen := choose(tree.files, split, configuration, name):
            return map(tree.fetch, chosen)
    data = [file for file in listed if _is_data(file)]
    raise DataError(
        f"hub dataset {name} has no split '{split}'; its data files: {', '.join(data[:20]) or 'none'}"
    )


def choose(files: Iterable[str], split: str, configuration: str, name: str) -> list[str]:
    """The files of a split in one configuration, in order; see `files_of_split`.

    Raises:
        DataError: the files are of several splits, or lie in several folders, so that one of them, or a
            configuration, must be named.
    """
    if configuration:
        files = [file for file in files if configuration in PurePosixPath(file).parts[:-1]]
    chosen = files_of_split(files, split, f"hub dataset {name}")
    _one_configuration(chosen, split, name)
    return chosen


def files_of_split(files: Iterable[str], split: str, place: str) -> list[str]:
    """The data files of a split: of one kind, in order.

    A file belongs to the split that a folder of its path or the file itself, without its part's number, is
    named like; where there is none, to that whose name is a word of one of these, wherever it stands: the
    files of `en.train` and `de.train` are together `train`. Files without any word of a split are `train`.

    Args:
        place: the source's name, for errors.

    Raises:
        DataError: the word begins the names of several splits, such as `train_sft` and `train_gen`.
    """
    data = [file for file in files if _is_data(file)]
    if chosen := _of_one_kind(file for file in data if split in _names(file)):
        return chosen
    chosen = _of_one_kind(file for file in data if split in _words_of_path(file))
    named = {next((name for name in _names(file) if split in _WORD.split(name)), "") for file in chosen}
    splits = sorted(name for name in named if _WORD.split(name)[0] == split)
    if len(splits) > 1:
        raise DataError(
            f"{place} has no split '{split}', but {', '.join(splits)}; name one of these as the split"
        )
    if not chosen and split == "train":
        return _of_one_kind(file for file in data if not _words_of_path(file).intersection(_SPLIT_WORDS))
    return chosen


def _of_one_kind(files: Iterable[str]) -> list[str]:
    listed = sorted(files)
    kinds = ([file for file in listed if file.endswith(kind)] for kind in (".parquet", ".jsonl", ".json"))
    return next(filter(None, kinds), [])


def _is_data(file: str) -> bool:
    path = PurePosixPath(file)
    return path.suffix in READERS and path.name != _DESCRIPTION


@contextmanager
def _errors_of(repository: str) -> Iterator[None]:
    # The base of what its HTTP client raises: of another package in each of the hub's versions, no OSError.
    from huggingface_hub.errors import HFValidationError, HTTPError  # type: ignore[attr-defined]

    try:
        yield
    except (HTTPError, HFValidationError, OSError) as error:
        raise DataError(
            f"hub dataset {repository}: {str(error).rstrip('.') or type(error).__name__}. Check the name and "
            "the connection (HTTPS_PROXY or HF_ENDPOINT where a proxy or a mirror is needed, `hf auth login` "
            "for a private dataset), or download a file and give its path"
        ) from error


def _names(file: str) -> tuple[str, ...]:
    """What may name a file's split: itself without its part's number, as it is, and its folders."""
    path = PurePosixPath(file)
    return (_PART.sub("", path.stem), path.stem, *path.parts[:-1])


def _words_of_path(file: str) -> set[str]:
    return set(_WORD.split(str(PurePosixPath(file).with_suffix(""))))


def _one_configuration(files: Sequence[str], split: str, name: str) -> None:
    """A folder named like the split, or `data`, is no configuration; any other top folder is."""
    folders = {
        parts[0] for file in files if len(parts := PurePosixPath(file).parts) > 1 and parts[0] != split
    }
    if len(folders) > 1:
        raise DataError(
            f"hub dataset {name} has the configurations {', '.join(sorted(folders))}; "
            f"name one: {name}:{min(folders)}"
        )
