"""Every source a model can come from, every start its weights can have, and what is refused by name."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from py_worker.models.decoder import DecoderPolicy
from py_worker.models.errors import ModelError, UnsupportedModelError, VocabularyError
from py_worker.models.loading import sources
from py_worker.models.loading.layers import keep_layers
from py_worker.models.loading.load import load_policy
from py_worker.models.policy import Policy
from py_worker.models.saving import save_policy
from py_worker.models.spec import ArchSpec, ModelSpec
from tests.py.tiny_gguf import write_tiny_gguf
from tests.py.tiny_models import tiny_policy, tiny_tokenizer

torch.set_num_threads(1)

AUTO = ("AutoTokenizer", "AutoModelForCausalLM", "AutoConfig")
ARCH = ArchSpec(16, 3, 2, 1, 32, 64)
BUILTIN = ModelSpec("builtin:llama", init="random", arch=ARCH, seed=4)


def same_weights(first: Policy, second: Policy) -> bool:
    ours, theirs = first.module.state_dict(), second.module.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model")
    save_policy(load_policy(BUILTIN, device="cpu"), path)
    return path


def test_builtin_models_are_decided_by_their_seed_alone():
    state = torch.get_rng_state()
    first, again = (load_policy(BUILTIN, device="cpu") for _ in range(2))
    other = load_policy(replace(BUILTIN, seed=5), device="cpu")
    assert torch.equal(torch.get_rng_state(), state)
    assert same_weights(first, again) and not same_weights(first, other)
    assert first.module.config.num_hidden_layers == 3 and first.hidden_size == 16
    assert first.max_positions == 64 and first.vocab_size == len(first.tokenizer)
    assert first.head.weight is first.module.get_input_embeddings().weight
    untied = load_policy(replace(BUILTIN, arch=replace(ARCH, tie_embeddings=False)), device="cpu")
    assert untied.head.weight is not untied.module.get_input_embeddings().weight


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (replace(BUILTIN, source="builtin:gpt"), "the builtin models are builtin:llama, builtin:t5"),
        (replace(BUILTIN, init="pretrained"), "set init to random"),
        (replace(BUILTIN, arch=None), "give its shape"),
        (replace(BUILTIN, arch=replace(ARCH, heads=3)), "multiple of heads 3"),
        (replace(BUILTIN, dtype="int8"), "unknown dtype 'int8'"),
        (ModelSpec("gguf:/nowhere/model.gguf"), "no such file"),
        (ModelSpec("package:no_such_package/model.gguf"), "not installed"),
        (ModelSpec("package:py_worker/model.gguf"), "no such file"),
        (ModelSpec("./nowhere"), "no such folder"),
        (ModelSpec("a/b/c"), "no such folder"),
        (ModelSpec("a/b@"), "write a revision as owner/name@revision"),
    ],
)
def test_what_cannot_be_loaded_is_named(spec, message):
    with pytest.raises(ModelError, match=message):
        load_policy(spec, device="cpu")


@pytest.mark.parametrize("init", ["pretrained", "random"])
def test_a_hub_name_may_have_a_revision(folder, monkeypatch, init):
    asked = []

    def from_hub(kind):
        def read(path, revision=None, **options):
            asked.append((kind, path, revision))
            return original[kind](folder, **options)

        return read

    original = {kind: getattr(sources, kind).from_pretrained for kind in AUTO}
    for kind in AUTO:
        monkeypatch.setattr(getattr(sources, kind), "from_pretrained", from_hub(kind))
    policy = load_policy(ModelSpec("a/b@refs/pr/1", init=init), device="cpu")
    weights = ["AutoModelForCausalLM"] if init == "pretrained" else []
    assert [(kind, "a/b", "refs/pr/1") for kind in ("AutoTokenizer", "AutoConfig", *weights)] == [
        call for call in asked if call[1] == "a/b"
    ]
    assert policy.base == ("a/b@refs/pr/1" if init == "pretrained" else None)


def test_an_at_sign_in_a_folder_is_no_revision(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "me@home")
    load_policy(ModelSpec(str(tmp_path / "me@home")), device="cpu")


def test_an_empty_folder_is_named_with_a_remedy(tmp_path):
    with pytest.raises(ModelError, match=r"cannot be loaded: .*give a folder"):
        load_policy(ModelSpec(str(tmp_path)), device="cpu")


def test_export_is_loaded_by_the_auto_classes_bit_for_bit(folder):
    policy = load_policy(BUILTIN, device="cpu")
    module, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert same_weights(load_policy(ModelSpec(str(folder)), device="cpu"), policy)
    assert all(torch.equal(value, policy.module.state_dict()[n]) for n, value in module.state_dict().items())
    text = "Reverse: <eos> ab\n?"
    assert tokenizer(text).input_ids == policy.tokenizer(text).input_ids
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert module.generation_config.eos_token_id == policy.eos_ids[0] == tokenizer.eos_token_id
    assert not [p for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pkl")]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("model.layers.1.", r"9 missing \(model.layers.1.input_layernorm.weight, .*, ...\)"),
        ("model.norm.", r"1 of another shape \(model.norm.weight \[5\] instead of \[16\]\)"),
    ],
)
def test_a_folder_that_lacks_weights_is_refused_by_their_names(folder, tmp_path, part, message):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = load_file(copy / "model.safetensors")
    named = [name for name in weights if name.startswith(part)]
    kept = {name: value for name, value in weights.items() if name not in named}
    short = {"model.norm.weight": torch.ones(5)} if part == "model.norm." else {}
    save_file(kept | short, copy / "model.safetensors", metadata={"format": "pt"})
    state = torch.get_rng_state()
    with pytest.raises(ModelError, match=message):
        load_policy(ModelSpec(str(copy)), device="cpu")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_head_is_not_missing_and_an_untied_one_is(tmp_path, tied):
    spec = replace(BUILTIN, arch=replace(ARCH, tie_embeddings=tied))
    save_policy(load_policy(spec, device="cpu"), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    assert ("lm_head.weight" in weights) != tied
    weights.pop("lm_head.weight", None)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    if tied:
        assert same_weights(
            load_policy(ModelSpec(str(tmp_path)), device="cpu"), load_policy(spec, device="cpu")
        )
        return
    with pytest.raises(ModelError, match=r"1 missing \(lm_head.weight\)"):
        load_policy(ModelSpec(str(tmp_path)), device="cpu")


def test_random_starts_from_a_folder(folder):
    spec = ModelSpec(str(folder), init="random", seed=4)
    first, again = (load_policy(spec, device="cpu") for _ in range(2))
    assert same_weights(first, again)
    assert not same_weights(first, load_policy(replace(spec, seed=9), device="cpu"))
    assert first.module.config.num_hidden_layers == 3


def test_layers_are_copied_in_the_given_order(folder):
    source = load_policy(ModelSpec(str(folder)), device="cpu")
    small = load_policy(ModelSpec(str(folder), init="layers", layers=(2, 0)), device="cpu")
    tokens = torch.tensor([[5, 6, 7, 8]])
    assert small.module.config.num_hidden_layers == 2
    blocks = source.module.model.layers
    expected = copy_of_hidden(source, [blocks[2], blocks[0]], tokens)
    torch.testing.assert_close(small.forward_hidden(tokens), expected)
    assert small.head.weight is small.module.get_input_embeddings().weight
    assert torch.equal(small.head.weight, source.head.weight)
    # Indices into the key/value cache are renumbered: cached and uncached passes agree.
    cached = small.module(input_ids=tokens[:, :3], use_cache=True)
    last = small.module(input_ids=tokens[:, 3:], past_key_values=cached.past_key_values).logits
    torch.testing.assert_close(last[:, 0], small.module(input_ids=tokens).logits[:, 3])


def copy_of_hidden(policy: Policy, blocks: list, tokens: torch.Tensor) -> torch.Tensor:
    """The body by hand: embedding, the given blocks, final norm."""
    body = policy.body
    hidden = body.embed_tokens(tokens)
    positions = body.rotary_emb(hidden, torch.arange(tokens.shape[1])[None])
    for block in blocks:
        hidden = block(hidden, position_embeddings=positions)
    return body.norm(hidden)


def test_a_folder_may_have_any_name(folder, tmp_path, monkeypatch):
    """That of a role too."""
    shutil.copytree(folder, tmp_path / "teacher")
    monkeypatch.chdir(tmp_path)
    teacher = load_policy(replace(BUILTIN, seed=9), device="cpu")
    student = load_policy(ModelSpec("teacher"), device="cpu", teacher=teacher)
    assert same_weights(student, load_policy(ModelSpec(str(folder)), device="cpu"))


@pytest.mark.parametrize("layers", [(), (0, 3), (-1,)])
def test_layers_out_of_range_are_named(folder, layers):
    with pytest.raises(ModelError, match="layers 0 to 2"):
        load_policy(ModelSpec(str(folder), init="layers", layers=layers), device="cpu")


def test_models_without_one_list_of_layers_are_refused():
    module = tiny_policy().module
    module.extra = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    with pytest.raises(UnsupportedModelError, match="no single list of 2 layers in LlamaForCausalLM"):
        keep_layers(module, [0], "odd")


def test_gguf_files_are_read_with_their_tokenizer(tmp_path, monkeypatch):
    package = tmp_path / "tiny_gguf_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('loading a model must not run the package')")
    weights = write_tiny_gguf(package / "tiny.gguf")
    by_path = load_policy(ModelSpec(f"gguf:{package / 'tiny.gguf'}"), device="cpu")
    monkeypatch.syspath_prepend(str(tmp_path))
    by_package = load_policy(ModelSpec("package:tiny_gguf_package/tiny.gguf"), device="cpu")
    assert same_weights(by_path, by_package)
    torch.testing.assert_close(by_path.module.state_dict()["model.embed_tokens.weight"], weights)
    assert by_path.tokenizer.decode(by_path.tokenizer("ab ba").input_ids) == "ab ba"
    # Saved, it is an ordinary dense model again.
    save_policy(by_path, tmp_path / "out")
    assert same_weights(load_policy(ModelSpec(str(tmp_path / "out")), device="cpu"), by_path)
    fresh = load_policy(ModelSpec(f"gguf:{package / 'tiny.gguf'}", init="random", seed=1), device="cpu")
    assert not same_weights(fresh, by_path)


def test_a_student_is_cut_to_the_shared_vocabulary(tmp_path):
    save_policy(tiny_policy(0, padded_rows=5), tmp_path / "student")
    teacher = tiny_policy(1, padded_rows=3)
    student = load_policy(ModelSpec(str(tmp_path / "student")), device="cpu", teacher=teacher)
    assert (student.head.weight.shape[0], teacher.head.weight.shape[0]) == (18, 16)
    assert student.vocab_size == teacher.vocab_size == 13
    hidden = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    assert student.logits(hidden).shape == teacher.logits(hidden).shape == (2, 13)


def test_a_teacher_may_know_more_tokens_and_stays_as_it_is(tmp_path):
    save_policy(tiny_policy(0), tmp_path)
    teacher = tiny_policy(1, padded_rows=3)
    teacher = DecoderPolicy(teacher.module, tiny_tokenizer("abcdefghijkxyz"), name="wider")
    assert teacher.vocab_size == 16
    assert load_policy(ModelSpec(str(tmp_path)), device="cpu", teacher=teacher).vocab_size == 13
    assert teacher.vocab_size == 16


@pytest.mark.parametrize("student_rows", [0, 3])
def test_a_student_is_cut_to_the_smaller_table(tmp_path, student_rows):
    """One of the two has no row for a token that was added to both tokenizers."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    modules = (tiny_policy(0, padded_rows=rows).module for rows in (student_rows, 3 - student_rows))
    student, teacher = (DecoderPolicy(module, tokenizer, name="t") for module in modules)
    save_policy(student, tmp_path)
    student = load_policy(ModelSpec(str(tmp_path)), device="cpu", teacher=teacher)
    assert student.vocab_size == 13
    assert teacher.vocab_size == 13 + (student_rows == 0)


def test_different_tokenizers_are_refused_by_name(tmp_path):
    save_policy(tiny_policy(0), tmp_path)
    teacher = tiny_policy(1)
    teacher.tokenizer, teacher.name = tiny_tokenizer("abcdefgHijk"), "big"
    with pytest.raises(VocabularyError, match=r"'big'.*id 9 is 'h' for the student and 'H' for the teacher"):
        load_policy(ModelSpec(str(tmp_path)), device="cpu", teacher=teacher)
    teacher.tokenizer = tiny_tokenizer("abcde")
    with pytest.raises(VocabularyError, match="no token for the teacher"):
        load_policy(ModelSpec(str(tmp_path)), device="cpu", teacher=teacher)


def test_lower_precision_and_autocast(folder):
    half = load_policy(ModelSpec(str(folder), dtype="bfloat16"), device="cpu")
    assert half.dtype == torch.bfloat16
    tokens = torch.tensor([[5, 6, 7]])
    assert half.logits(half.forward_hidden(tokens)).dtype == torch.float32
    mixed = load_policy(ModelSpec(str(folder), compute_dtype="bfloat16"), device="cpu")
    plain = load_policy(ModelSpec(str(folder)), device="cpu")
    assert mixed.dtype == torch.float32
    found, exact = (p.logits(p.forward_hidden(tokens)) for p in (mixed, plain))
    assert found.dtype == torch.float32 and not torch.equal(found, exact)
    torch.testing.assert_close(found, exact, rtol=0.05, atol=0.05)
