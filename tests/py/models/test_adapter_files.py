"""Adapters in PEFT's format: read by peft itself, read back as a teacher or start, and refused by name."""

import json
import shutil
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.loading.load import load_policy
from py_worker.models.loading.sources import Location, locate, read_model
from py_worker.models.policy import Policy
from py_worker.models.saving import save_policy, save_policy_adapters
from py_worker.models.spec import ArchSpec, LoraSpec, ModelSpec
from tests.py.models.adapted import spread_adapters
from tests.py.tiny_gguf import write_tiny_gguf

torch.set_num_threads(1)

BUILTIN = ModelSpec("builtin:llama", init="random", arch=ArchSpec(16, 2, 2, 1, 32, 64), seed=4)
LORA = LoraSpec(rank=4, alpha=12.0, dropout=0.1, seed=3)
TOKENS = torch.tensor([[2, 3, 4, 5, 6, 7, 8]])


def logits(policy: Policy) -> Tensor:
    with torch.no_grad():
        return policy.logits(policy.forward_hidden(TOKENS % policy.vocab_size))


def trained(source: str, seed: int = 0, lora: LoraSpec = LORA) -> Policy:
    policy = load_policy(ModelSpec(source, lora=lora), device="cpu")
    spread_adapters(policy.module, seed)
    return policy


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("base")
    save_policy(load_policy(BUILTIN, device="cpu"), path)
    return path


@pytest.fixture(scope="module")
def folder(base, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("adapter")
    save_policy_adapters(trained(str(base)), path)
    return path


def test_peft_reads_them(base, folder):
    module = peft.AutoPeftModelForCausalLM.from_pretrained(folder)
    expected = logits(trained(str(base)))
    with torch.no_grad():
        found = module(input_ids=TOKENS).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert (expected - logits(load_policy(ModelSpec(str(base)), device="cpu"))).abs().max() > 0.1
    files = {path.name for path in folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= files
    assert not files & {"config.json", "model.safetensors"}
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base) and config["r"] == 4
    assert config["target_modules"] == sorted(config["target_modules"])


def test_merged_is_an_ordinary_model(base, tmp_path):
    policy = trained(str(base))
    expected = logits(policy)
    save_policy(policy, tmp_path)
    module = AutoModelForCausalLM.from_pretrained(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(base)
    assert module.state_dict().keys() == plain.state_dict().keys()
    assert module.lm_head.weight is module.model.embed_tokens.weight
    with torch.no_grad():
        torch.testing.assert_close(module(input_ids=TOKENS).logits, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(logits(policy), expected)
    assert not (tmp_path / "adapter_config.json").exists()


def test_a_folder_of_adapters_stands_for_the_merged_model(base, folder):
    policy = load_policy(ModelSpec(str(folder)), device="cpu")
    torch.testing.assert_close(logits(policy), logits(trained(str(base))), rtol=1e-5, atol=1e-6)
    assert policy.adapters == {}
    assert all(p.requires_grad for p in policy.module.parameters())
    assert "base_layer" not in " ".join(policy.module.state_dict())
    state = torch.get_rng_state()
    load_policy(ModelSpec(str(folder)), device="cpu")
    assert torch.equal(torch.get_rng_state(), state)


def test_adapters_may_lie_on_adapters(base, folder, tmp_path):
    second = trained(str(folder), seed=1)
    expected = second.base
    second.base = str(base)
    save_policy_adapters(second, tmp_path)
    change_config(tmp_path, base_model_name_or_path=expected)
    policy = load_policy(ModelSpec(str(tmp_path)), device="cpu")
    torch.testing.assert_close(logits(policy), logits(second), rtol=1e-5, atol=1e-6)
    assert (logits(policy) - logits(trained(str(base)))).abs().max() > 0.1


def test_adapters_on_adapters_are_exported_merged_only(folder, tmp_path):
    """PEFT takes the base that a configuration names without the adapters that lie there."""
    message = rf"lie on the adapters in {folder}, which PEFT would leave out; export it in the form merged"
    with pytest.raises(UnsupportedModelError, match=message):
        save_policy_adapters(trained(str(folder), seed=1), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_their_base_is_named_by_a_path_that_holds_everywhere(base, tmp_path, monkeypatch):
    monkeypatch.chdir(base.parent)
    write_tiny_gguf(tmp_path / "tiny.gguf")
    assert trained(f"./{base.name}").base == str(base)
    monkeypatch.chdir(tmp_path)
    assert trained("gguf:tiny.gguf").base == f"gguf:{tmp_path / 'tiny.gguf'}"


def test_their_base_may_be_a_gguf_file(tmp_path):
    source = tmp_path / "tiny.gguf"
    write_tiny_gguf(source)
    policy = trained(f"gguf:{source}")
    save_policy_adapters(policy, tmp_path / "adapter")
    again = load_policy(ModelSpec(str(tmp_path / "adapter")), device="cpu")
    torch.testing.assert_close(logits(again), logits(policy), rtol=1e-5, atol=1e-6)


def test_their_base_may_have_a_revision(base, tmp_path):
    policy = trained(str(base))
    policy.base = "someone/model@v1"
    save_policy_adapters(policy, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("someone/model", "v1")
    location = locate(str(tmp_path))
    assert (location.path, location.revision, location.adapters) == ("someone/model", "v1", (tmp_path,))


def test_a_folder_has_no_revision(base, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"revision": "main"}))
    location = locate(str(tmp_path / "adapter"))
    assert (location.path, location.revision) == (str(base), None)


def test_those_of_the_hub_are_to_be_downloaded(folder):
    """What transformers finds behind a name by itself; a folder here, for a name would need a network."""
    with pytest.raises(ModelError, match="name: holds adapters; download them"):
        read_model(Location(str(folder)), dtype=torch.float32, trust_remote_code=False, source="name")


def test_a_base_that_cannot_be_read_is_told_with_what_names_it(folder, tmp_path):
    copy, empty = tmp_path / "copy", tmp_path / "empty"
    shutil.copytree(folder, copy)
    empty.mkdir()
    change_config(copy, base_model_name_or_path=str(empty))
    message = rf"base {empty} \(base_model_name_or_path in {copy}/adapter_config.json\): cannot be loaded"
    with pytest.raises(ModelError, match=message):
        load_policy(ModelSpec(str(copy)), device="cpu")


def test_an_unsupported_base_stays_so(folder, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for copy in (first, second):
        shutil.copytree(folder, copy)
    change_config(first, peft_type="IA3")
    change_config(second, base_model_name_or_path=str(first))
    with pytest.raises(UnsupportedModelError, match=r"second/adapter_config.json: .* kind IA3"):
        locate(str(second))


def test_without_a_tokenizer_they_take_their_bases(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for path in copy.glob("tokenizer*"):
        path.unlink()
    policies = [load_policy(ModelSpec(str(path)), device="cpu") for path in (copy, folder)]
    assert policies[0].tokenizer("ab").input_ids == policies[1].tokenizer("ab").input_ids


def test_what_has_no_base_is_exported_merged_only(base, tmp_path):
    for spec in (BUILTIN, ModelSpec(str(base), init="layers", layers=(1,))):
        policy = load_policy(ModelSpec(**{**vars(spec), "lora": LORA}), device="cpu")
        with pytest.raises(UnsupportedModelError, match=r"weights that no file holds.*merged"):
            save_policy_adapters(policy, tmp_path)
    with pytest.raises(UnsupportedModelError, match="has no adapters"):
        save_policy_adapters(load_policy(ModelSpec(str(base)), device="cpu"), tmp_path)


def change_config(folder: Path, **changes) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder: Path, change) -> None:
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def without_first(tensors):
    return dict(sorted(tensors.items())[1:])


def cut_first(tensors):
    name = min(tensors)
    return tensors | {name: tensors[name][:2].contiguous()}


def one_more(tensors):
    return tensors | {f"{min(tensors)}.extra": torch.zeros(1)}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "adapter_config.json").write_text("{"), "is no configuration of adapters"),
        (lambda f: change_config(f, peft_type="IA3"), "adapters of kind IA3 are not supported"),
        (lambda f: change_config(f, base_model_name_or_path=None), "names no model"),
        (lambda f: change_config(f, base_model_name_or_path=str(f)), "name this folder"),
        (
            lambda f: change_config(f, base_model_name_or_path="./nowhere"),
            r"copy/adapter_config.json: base_model_name_or_path: ./nowhere: no such folder; name there",
        ),
        (
            lambda f: change_config(f, base_model_name_or_path="gguf:/nowhere.gguf"),
            r"copy/adapter_config.json: base_model_name_or_path: gguf:/nowhere.gguf: no such file",
        ),
        (lambda f: shorten(f / "adapter_model.safetensors"), "copy/adapter_model.safetensors: is truncated"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "save the adapters as safetensors"),
        (lambda f: change_weights(f, without_first), r"base .*lora_A.weight is missing \(1 such\)"),
        (lambda f: change_weights(f, cut_first), r"lora_A.weight is \[2, 32\] instead of \[4, 32\]"),
        (lambda f: change_weights(f, one_more), "extra is in no layer"),
    ],
)
def test_adapters_that_cannot_be_read_are_named(folder, tmp_path, spoil, message):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    spoil(copy)
    with pytest.raises(ModelError, match=message):
        load_policy(ModelSpec(str(copy)), device="cpu")
