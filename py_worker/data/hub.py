"""Data files of a dataset on the Hugging Face hub."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from py_worker.data.errors import DataError
from py_worker.data.files import READERS

# The hub converts most datasets and keeps the result in this branch, as CONFIGURATION/SPLIT/NNNN.parquet.
_CONVERTED = "refs/convert/parquet"
_SPLIT_WORDS = ("train", "validation", "valid", "dev", "test", "eval")


def download(name: str, split: str) -> list[Path]:
    """Downloads the files of one split, or takes them from the hub's local cache.

    Args:
        name: `owner/dataset`, or `owner/dataset:configuration`.
        split: the hub's name of the split.

    Raises:
        DataError: no such dataset or split, an ambiguous configuration, or no connection.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:  # pragma: no cover - transformers brings it
        raise DataError(
            f"{name}: a hub dataset needs huggingface_hub (pip install huggingface_hub); or give a path"
        ) from error
    repository, _, configuration = name.partition(":")
    listed: list[str] = []
    try:
        for revision in (None, _CONVERTED):
            files = _list(repository, revision)
            listed += files
            if chosen := choose(files, split, configuration, name):
                return [
                    Path(hf_hub_download(repository, file, repo_type="dataset", revision=revision))
                    for file in chosen
                ]
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise DataError(
            f"hub dataset {name}: {error}. Check the name and the connection (a private dataset needs "
            "`hf auth login`), or download a file and give its path"
        ) from error
    data = [file for file in listed if PurePosixPath(file).suffix in READERS]
    raise DataError(
        f"hub dataset {name} has no split '{split}'; its data files: {', '.join(data[:20]) or 'none'}"
    )


def choose(files: Iterable[str], split: str, configuration: str, name: str) -> list[str]:
    """The files of a split: of one kind, in order.

    A file belongs to the split whose name is a word of its path; files without any such word are `train`.

    Raises:
        DataError: the files lie in several folders, so a configuration must be named.
    """
    data = [file for file in files if PurePosixPath(file).suffix in READERS]
    if configuration:
        data = [file for file in data if configuration in PurePosixPath(file).parts[:-1]]
    named = [file for file in data if split in _words(file)]
    if not named and split == "train":
        named = [file for file in data if not _words(file).intersection(_SPLIT_WORDS)]
    for suffix in (".parquet", ".jsonl", ".json"):
        chosen = sorted(file for file in named if file.endswith(suffix))
        if chosen:
            _one_configuration(chosen, split, name)
            return chosen
    return []


def _words(file: str) -> set[str]:
    return set(re.split(r"[/_.\-]", file))


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


def _list(repository: str, revision: str | None) -> list[str]:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return list(HfApi().list_repo_files(repository, repo_type="dataset", revision=revision))
    except RevisionNotFoundError:
        return []
