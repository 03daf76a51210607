"""The teacher's responses, drawn once and kept in the cache folder."""

from pathlib import Path
from typing import Any

import pytest

from py_worker.session.held import Rollout
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import SAMPLING, data_source, generate_args, load_teacher


class Watched:
    """The engine of the role, and how many rows it was asked for."""

    name = "watched"

    def __init__(self, worker: LocalWorker) -> None:
        self.rows: list[int] = []
        role = worker.session.role("teacher")
        self._engine, role.engine = role.engine, self

    def generate(self, mixture: Any, prompts: Any, *rest: Any) -> Any:
        self.rows.append(len(prompts))
        return self._engine.generate(mixture, prompts, *rest)


@pytest.fixture
def caching(worker: LocalWorker, tmp_path: Path) -> LocalWorker:
    """With a cache folder that is the test's own."""
    worker.call("configure", **{**worker.settings, "cache_dir": str(tmp_path)})
    return worker


def args(out: str, **changes: Any) -> dict[str, Any]:
    return {**generate_args(0, out), "role": "teacher", "cache": True, **changes}


def rollout(worker: LocalWorker, name: str) -> tuple[Any, ...]:
    held = worker.session.handles.get(name, Rollout)
    rows = zip(held.sample_ids, held.prompts, held.tokens, held.ended, held.log_probs, strict=True)
    return tuple((s, p.tolist(), t.tolist(), e, lp.tolist()) for s, p, t, e, lp in rows)


def test_the_second_call_draws_nothing(caching: LocalWorker) -> None:
    engine = Watched(caching)
    plain = caching.call("generate", **args("buffer/plain", cache=False))
    first = caching.call("generate", **args("buffer/first"))
    second = caching.call("generate", **args("buffer/second"))
    assert (plain["cached"], first["cached"], second["cached"]) == (0, 0, 4)
    assert engine.rows == [4, 4]
    assert rollout(caching, "buffer/plain") == rollout(caching, "buffer/first")
    assert rollout(caching, "buffer/first") == rollout(caching, "buffer/second")
    assert (first["drawn_tokens"], second["drawn_tokens"]) == (first["tokens"], 0)
    assert {**second, "cached": 0, "drawn_tokens": first["tokens"]} == first == plain


def test_partial_hits(caching: LocalWorker) -> None:
    engine = Watched(caching)
    whole = args("buffer/whole")
    few = args("buffer/few", rows=whole["rows"][1:3], sample_ids=whole["sample_ids"][1:3])
    spared = caching.call("generate", **few)["tokens"]
    found = caching.call("generate", **whole)
    assert (found["cached"], found["drawn_tokens"]) == (2, found["tokens"] - spared)
    assert engine.rows == [2, 2]
    caching.call("generate", **args("buffer/plain", cache=False))
    for (*mixed, found), (*plain, expected) in zip(
        rollout(caching, "buffer/whole"), rollout(caching, "buffer/plain"), strict=True
    ):
        assert mixed == plain
        assert found == pytest.approx(expected, abs=1e-5), "rounding depends on the batch"


@pytest.mark.parametrize(
    "changes", [{"seed": 8}, {"sampling": {**SAMPLING, "max_new_tokens": 5}}, {"sample_ids": [7, 8, 9, 10]}]
)
def test_other_settings_miss(caching: LocalWorker, changes: dict[str, Any]) -> None:
    caching.call("generate", **args("buffer/first"))
    assert caching.call("generate", **args("buffer/other", **changes))["cached"] == 0
    assert caching.call("generate", **args("buffer/again"))["cached"] == 4


def test_other_weights_miss_and_the_same_from_elsewhere_hit(caching: LocalWorker, tmp_path: Path) -> None:
    """A later process that loads the same teacher finds what an earlier one kept."""
    caching.call("generate", **args("buffer/first"))
    kept = rollout(caching, "buffer/first")
    exported = tmp_path / "exported"
    caching.call("export", role="teacher", dir=str(exported))
    shape = {"init": "pretrained", "seed": 0, "dtype": "float32", "trust_remote_code": False}
    for source, seed, found in ((str(exported), 0, 4), ("builtin:llama", 9, 0)):
        caching.call("reset")
        if found:
            model = {**shape, "source": source}
            caching.call("load_role", role="teacher", model=model, gradient_checkpointing=False)
        else:
            load_teacher(caching, seed=seed)
        caching.call("register_data", dataset="train", source=data_source())
        assert caching.call("generate", **args("buffer/first"))["cached"] == found
        assert (rollout(caching, "buffer/first") == kept) == bool(found)


def test_two_workers_share_the_folder(caching: LocalWorker, tmp_path: Path) -> None:
    other = LocalWorker(str(tmp_path))
    try:
        other.call("configure", **other.settings)
        load_teacher(other)
        other.call("register_data", dataset="train", source=data_source())
        other.call("generate", **args("buffer/theirs"))
        assert caching.call("generate", **args("buffer/ours"))["cached"] == 4
        assert rollout(caching, "buffer/ours") == rollout(other, "buffer/theirs")
    finally:
        other.close()


def test_weights_are_read_once_for_a_role(caching: LocalWorker) -> None:
    caching.call("generate", **args("buffer/first"))
    known = caching.session.role("teacher").weights_hash
    assert known is not None
    caching.session.role("teacher").weights_hash = "another"
    assert caching.call("generate", **args("buffer/second"))["cached"] == 0
    caching.session.role("teacher").weights_hash = known
    assert caching.call("generate", **args("buffer/third"))["cached"] == 4


@pytest.mark.parametrize("changes", [{"role": "student"}, {"role": "student", "mixture": 0.5}])
def test_what_changes_with_every_step_is_not_kept(caching: LocalWorker, changes: dict[str, Any]) -> None:
    error = caching.error("generate", **args("buffer/first", **changes))
    assert (error["code"], error["applied"]) == ("invalid_argument", False)
    assert "cache: only the teacher's" in error["message"]


def test_a_damaged_file_fails_the_request_and_nothing_else(caching: LocalWorker, tmp_path: Path) -> None:
    caching.call("generate", **args("buffer/first"))
    (file,) = (tmp_path / "responses").iterdir()
    file.write_bytes(b"nonsense" * 1000)
    error = caching.error("generate", **args("buffer/second"))
    assert (error["code"], error["applied"]) == ("data_error", False)
    assert str(file) in error["message"] and "Delete this file" in error["message"]
    file.unlink()
    assert caching.call("generate", **args("buffer/second"))["cached"] == 0
    assert rollout(caching, "buffer/second") == rollout(caching, "buffer/first")
