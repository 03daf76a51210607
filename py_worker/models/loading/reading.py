"""One error for what the libraries raise while they read a model, which names the file that is damaged."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import transformers
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from py_worker.models.errors import ModelError

_POINTER: Final = b"version https://git-lfs"
_KNOWN: Final = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)


@contextlib.contextmanager
def reading(what: str, files: Callable[[], Iterable[Path]]) -> Iterator[None]:
    """Turns what the libraries raise into one error, and keeps most of their progress bars off stderr.

    Args:
        what: is read, for the error.
        files: those that may be to blame; asked for when something was raised.

    Raises:
        ModelError: it cannot be read.
    """
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # pickle and tokenizers have errors of their own for a bad file
        if damage := next(filter(None, map(_damage, files())), None):
            raise ModelError(damage) from error
        # What tokenizers raises has no class of its own.
        if not isinstance(error, _KNOWN) and type(error) is not Exception:
            raise
        raise ModelError(
            f"{what}: cannot be loaded: {_reason(error)} (give a folder with config.json and safetensors, "
            "a hub name this machine can reach, or a GGUF file)"
        ) from error
    finally:
        if bars:
            transformers.utils.logging.enable_progress_bar()


def _reason(error: Exception) -> str:
    """The first line of what it says; all of them where that only announces the others."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines) if lines[0].endswith(":") else lines[0]


def _damage(path: Path) -> str | None:
    """What is wrong with a file, and the remedy; None where nothing is seen."""
    again = f"{_forget(path)}download or copy it again"
    try:
        with path.open("rb") as file:
            start = file.read(len(_POINTER))
        if start == _POINTER:
            return f"{path}: is a pointer of Git LFS, not the file; run `git lfs pull` there, or {again}"
        if not start:
            return f"{path}: is empty; {again}"
        _open(path)
    except OSError:
        return None  # it cannot be opened at all, as what was raised says
    except Exception as error:  # that of tokenizers has no other class
        newer = ", or newer than the installed tokenizers" if path.name == "tokenizer.json" else ""
        return f"{path}: is truncated or damaged{newer} ({error}); {again}"
    return None


def _open(path: Path) -> None:
    """Opens a file as its kind is opened; no weight is read."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt"):
            return
    if path.name == "tokenizer.json":
        Tokenizer.from_file(str(path))
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))


def _forget(path: Path) -> str:
    """What is in the hub's cache is not downloaded anew while it is there."""
    snapshot = path.parent
    return f"delete {snapshot.parents[1]} and " if snapshot.parent.name == "snapshots" else ""
