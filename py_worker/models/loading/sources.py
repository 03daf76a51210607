"""Where models are read from: a folder (of adapters too), a hub name, a GGUF file."""

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import cached_file

from py_worker.hub_name import split_revision
from py_worker.models import adapter_files
from py_worker.models.encoder_decoder import FAMILIES
from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.loading.precision import cast
from py_worker.models.loading.reading import reading
from py_worker.models.loading.tokenizer_files import require_tokenizer

# Files of a tokenizer and of a model that may be to blame where it cannot be read.
_OF_TOKENIZERS = ("*.json", "merges.txt", "*.model")
_OF_MODELS = ("*config.json", "*.index.json", "*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True)
class Location:
    """What `from_pretrained` is called with.

    Attributes:
        path: folder or hub name.
        gguf_file: the file in the folder, if the model is one.
        adapters: folders of adapters to add to its weights, in that order.
        revision: of a hub name; None is its main branch.
    """

    path: str
    gguf_file: str | None = None
    adapters: tuple[Path, ...] = ()
    revision: str | None = None

    def arguments(self) -> dict[str, Any]:
        given = {"gguf_file": self.gguf_file, "revision": self.revision}
        return {name: value for name, value in given.items() if value is not None}


def locate(source: str) -> Location:
    """Resolves `gguf:PATH`, `package:MODULE/FILE.gguf`, a folder, or a hub name, `owner/model@revision` too.

    A folder of adapters stands for the model that it names as its base, with them added.

    Raises:
        ModelError: there is no such file, folder or installed package.
    """
    scheme, _, rest = source.partition(":")
    if scheme == "gguf":
        return _gguf(Path(rest).expanduser(), source)
    if scheme == "package":
        package, _, file = rest.partition("/")
        spec = importlib.util.find_spec(package) if package else None
        if spec is None or not spec.submodule_search_locations:
            raise ModelError(
                f"{source}: the Python package {package!r} is not installed in the worker's environment"
            )
        return _gguf(Path(spec.submodule_search_locations[0]) / file, source)
    folder = Path(source).expanduser()
    if (folder / adapter_files.CONFIG).is_file():
        return _with_adapters(folder)
    if folder.is_dir():
        return Location(str(folder))
    try:
        name, revision = split_revision(source)
    except ValueError as error:
        raise ModelError(str(error)) from error
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"{source}: no such folder")
    return Location(name, revision=revision)


def absolute(source: str) -> str:
    """The source under a name that means the same in every folder."""
    scheme, _, rest = source.partition(":")
    if scheme == "gguf":
        return f"gguf:{Path(rest).expanduser().resolve()}"
    folder = Path(source).expanduser()
    return str(folder.resolve()) if folder.is_dir() else source


def _gguf(path: Path, source: str) -> Location:
    if not path.is_file():
        raise ModelError(f"{source}: no such file: {path}")
    return Location(str(path.parent), path.name)


def _with_adapters(folder: Path) -> Location:
    source = adapter_files.base_of(folder)
    if Path(source).expanduser().resolve() == folder.resolve():
        raise ModelError(f"{folder}: its adapters name this folder as the model that they belong to")
    try:
        base = locate(source)
    except ModelError as error:
        raise type(error)(
            f"{folder / adapter_files.CONFIG}: base_model_name_or_path: {error}; name there the model "
            "that the adapters belong to"
        ) from error
    return replace(base, adapters=(*base.adapters, folder))


def read_tokenizer(location: Location, *, trust_remote_code: bool, source: str) -> Any:
    """The tokenizer at a location, the fast (Rust) one.

    Raises:
        ModelError: it cannot be read, or has no fast form.
    """
    own = [folder for folder in location.adapters if (folder / "tokenizer_config.json").is_file()]
    place = Location(str(own[-1])) if own else location
    with _reading(source, place, _OF_TOKENIZERS):
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                place.path, trust_remote_code=trust_remote_code, **place.arguments()
            )
        except (ValueError, ImportError):
            folder = _folder(place)
            if folder is not None and place.gguf_file is None:
                require_tokenizer(folder, source)
            raise
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(f"{source}: its tokenizer has no fast form (tokenizer.json); convert it first")
    # A GGUF tokenizer remembers the file it came from and would look for it again after being saved.
    tokenizer.init_kwargs.pop("gguf_file", None)
    return tokenizer


def _file(place: Location, name: str) -> str | None:
    with contextlib.suppress(OSError):
        found: str | None = cached_file(place.path, name, revision=place.revision, local_files_only=True)
        return found
    return None


def _folder(place: Location) -> Path | None:
    """Where its files are; None for a hub name of which nothing was fetched."""
    if Path(place.path).is_dir():
        return Path(place.path)
    config = _file(place, "config.json")
    return None if config is None else Path(config).parent


def _reading(source: str, place: Location, patterns: Sequence[str]) -> AbstractContextManager[None]:
    """Around reading from a place; the error says which adapters ask for it, and names a damaged file."""
    asking = place.adapters[:1]
    wanted = [f"base {place.path} (base_model_name_or_path in {f / adapter_files.CONFIG})" for f in asking]

    def files() -> Iterator[Path]:
        folder = _folder(place)
        if folder is not None:
            for pattern in (place.gguf_file,) if place.gguf_file else patterns:
                yield from filter(Path.is_file, sorted(folder.glob(pattern)))

    return reading(": ".join([source, *wanted]), files)


def hub_commit(source: str) -> str | None:
    """Commit of the hub repository that a model was read from; None for one that is not of the hub."""
    if source.startswith("builtin:"):
        return None
    location = locate(source)
    if location.gguf_file is not None or Path(location.path).is_dir():
        return None
    snapshot = Path(_file(location, "config.json") or "").parent
    return snapshot.name if snapshot.parent.name == "snapshots" else None


def read_model(location: Location, *, dtype: torch.dtype, trust_remote_code: bool, source: str) -> Any:
    """The language model with its weights; those of a GGUF file are dequantized, adapters added.

    Raises:
        ModelError: it cannot be read, or lacks weights that the architecture has.
        UnsupportedModelError: an encoder-decoder of another family than T5's.
    """
    # A GGUF file holds a decoder, and reading its configuration takes as long as reading all of it.
    config = None
    if location.gguf_file is None:
        # Where there is none, loading says what is wrong: adapters of the hub have none.
        with contextlib.suppress(ModelError):
            config = _read_config(location, trust_remote_code, source)
    # What a file lacks is drawn from the global random state before the load report says so.
    with _reading(source, location, _OF_MODELS), torch.random.fork_rng(devices=[]):
        module, report = _auto_class(config, source).from_pretrained(
            location.path,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # without it the error names no weight
            **location.arguments(),
        )
    _require_complete(report, source)
    if location.gguf_file is not None:
        # The weights are dense now; saved with this entry, the folder would be taken for a quantized one.
        vars(module.config).pop("quantization_config", None)
        module.hf_quantizer = None
    if module._hf_peft_config_loaded:
        raise ModelError(f"{source}: holds adapters; download them and give their folder")
    for folder in location.adapters:
        with _reading(source, Location(str(folder)), adapter_files.FILES):
            module = adapter_files.merge_adapters(module, folder)
    return module


def has_encoder(location: Location, *, trust_remote_code: bool, source: str) -> bool:
    """Whether the model at a location is an encoder-decoder; what a GGUF file holds is a decoder.

    Raises:
        ModelError: the configuration cannot be read.
        UnsupportedModelError: an encoder-decoder of another family than T5's.
    """
    if location.gguf_file is not None:
        return False
    return _auto_class(_read_config(location, trust_remote_code, source), source) is AutoModelForSeq2SeqLM


def _read_config(location: Location, trust_remote_code: bool, source: str) -> Any:
    with _reading(source, location, _OF_MODELS):
        return AutoConfig.from_pretrained(
            location.path, trust_remote_code=trust_remote_code, **location.arguments()
        )


def _auto_class(config: Any, source: str) -> Any:
    """What makes the language model that a configuration describes; None is a decoder's.

    Raises:
        UnsupportedModelError: an encoder-decoder of another family than T5's. Of some of them the library
            would take the decoder alone.
    """
    if config is None or not config.is_encoder_decoder:
        return AutoModelForCausalLM
    if config.model_type not in FAMILIES:
        raise UnsupportedModelError(
            f"{source}: encoder-decoders of type {config.model_type} are not supported "
            f"({', '.join(FAMILIES)} are)"
        )
    return AutoModelForSeq2SeqLM


def _require_complete(report: Mapping[str, Any], source: str) -> None:
    """Weights that are missing or of another shape were drawn at random; a tied head is neither."""
    missing = sorted(report["missing_keys"])
    mismatched = [
        f"{name} {list(found)} instead of {list(expected)}"
        for name, found, expected in sorted(report["mismatched_keys"])
    ]
    wrong = [f"{len(missing)} missing ({_some(missing)})"] if missing else []
    wrong += [f"{len(mismatched)} of another shape ({_some(mismatched)})"] if mismatched else []
    if wrong:
        raise ModelError(
            f"{source}: its weights do not fill the model that its configuration describes: "
            f"{' and '.join(wrong)}; copy the whole model again, or take the configuration that belongs to it"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def random_model(
    location: Location, *, dtype: torch.dtype, seed: int, trust_remote_code: bool, source: str
) -> Any:
    """The architecture at a location with weights drawn from `seed`, not from the global random state.

    Raises:
        ModelError: the configuration cannot be read.
        UnsupportedModelError: an encoder-decoder of another family than T5's.
    """
    config = _read_config(location, trust_remote_code, source)
    vars(config).pop("quantization_config", None)
    auto_class = _auto_class(config, source)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = auto_class.from_config(config, trust_remote_code=trust_remote_code)
    return cast(module, dtype)
