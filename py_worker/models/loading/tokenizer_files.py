"""What is missing where a tokenizer cannot be read: its files, or the packages that read T5's."""

import importlib
from pathlib import Path

from py_worker.models.errors import ModelError

_VOCABULARIES = ("tokenizer.json", "*.model", "vocab.*", "merges.txt", "*.tiktoken", "tekken.json")


def require_tokenizer(folder: Path, source: str) -> None:
    """Without any file of one the library lists all that it could have been; otherwise its words say more.

    Raises:
        ModelError: the files of a tokenizer are missing, or what reads them.
    """
    if not any(found for kind in _VOCABULARIES for found in folder.glob(kind)):
        settings = "" if (folder / "tokenizer_config.json").is_file() else " and no tokenizer_config.json"
        raise ModelError(
            f"{source}: cannot be loaded: {folder} has no tokenizer.json or spiece.model{settings}; copy the "
            "tokenizer's files there from the model that this one was made of, or give a folder with a whole "
            "model"
        )
    _require_sentencepiece(folder, source)


def _require_sentencepiece(folder: Path, source: str) -> None:
    """Where the library cannot read T5's own file it takes it for one of tiktoken's, and asks for that.

    Raises:
        ModelError: the tokenizer is such a file alone, and what reads it is not there or does not fit.
    """
    if (folder / "tokenizer.json").is_file() or not (folder / "spiece.model").is_file():
        return
    try:
        importlib.import_module("sentencepiece.sentencepiece_model_pb2")
    except Exception as error:  # protobuf has an error of its own for versions that do not fit
        raise ModelError(
            f"{source}: its tokenizer is a spiece.model, which needs the Python packages sentencepiece and "
            f"protobuf ({error}); install them: pip install --upgrade sentencepiece protobuf"
        ) from error
