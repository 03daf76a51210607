"""Kept responses: what is found, what is drawn, workers that share a file, and files that are not sound."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from py_worker.rollout.errors import ResponseCacheError
from py_worker.rollout.request import TokenArray
from py_worker.rollout.response_cache import ResponseCache
from py_worker.rollout.responses import Responses

PROMPTS = [np.array(ids, dtype=np.int32) for ids in ([3, 4], [5], [3, 4], [6, 7, 8])]
SAMPLES = [10, 11, 2**53 - 1, 13]


class Source:
    """Draws what follows from prompt and sample id, and counts how often it is asked for what."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def __call__(self, prompts: Sequence[TokenArray], sample_ids: Sequence[int]) -> Responses:
        self.calls.append(list(sample_ids))
        generators = [
            np.random.default_rng([*prompt.tolist(), sample])
            for prompt, sample in zip(prompts, sample_ids, strict=True)
        ]
        lengths = [int(generator.integers(1, 9)) for generator in generators]
        return Responses(
            tokens=[g.integers(0, 50, n).astype(np.int32) for g, n in zip(generators, lengths, strict=True)],
            ended=[n % 2 == 0 for n in lengths],
            log_probs=[-g.random(n).astype(np.float32) for g, n in zip(generators, lengths, strict=True)],
            decoded_rows=sum(lengths),
        )


def same(first: Responses, second: Responses) -> bool:
    return first.ended == second.ended and all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for name in ("tokens", "log_probs")
        for a, b in zip(getattr(first, name), getattr(second, name), strict=True)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "responses" / "store.sqlite"


def test_the_second_call_finds_what_the_first_drew(path: Path) -> None:
    source = Source()
    expected = Source()(PROMPTS, SAMPLES)
    drawn, found = ResponseCache(path).complete(PROMPTS, SAMPLES, source)
    assert found == 0 and same(drawn, expected) and drawn.decoded_rows == expected.decoded_rows
    again, found = ResponseCache(path).complete(PROMPTS, SAMPLES, source)
    assert found == 4 and same(again, expected) and again.decoded_rows == 0
    assert source.calls == [SAMPLES]


def test_only_missing_rows_are_drawn_and_order_is_that_of_the_call(path: Path) -> None:
    """The key is prompt and sample id together."""
    source = Source()
    ResponseCache(path).complete(PROMPTS[:2], SAMPLES[:2], source)
    swapped = [PROMPTS[1], PROMPTS[3], PROMPTS[0], PROMPTS[1]]
    samples = [11, 13, 10, 10]
    drawn, found = ResponseCache(path).complete(swapped, samples, source)
    assert found == 2
    assert source.calls[1:] == [[13, 10]]
    assert same(drawn, Source()(swapped, samples))


def test_a_row_asked_for_twice_and_no_row_at_all(path: Path) -> None:
    source = Source()
    drawn, found = ResponseCache(path).complete([PROMPTS[0]] * 2, [7, 7], source)
    assert found == 0 and drawn.tokens[0].tolist() == drawn.tokens[1].tolist()
    assert ResponseCache(path).complete([PROMPTS[0]], [7], source)[1] == 1
    nothing, found = ResponseCache(path).complete([], [], source)
    assert (nothing.tokens, found, len(source.calls)) == ([], 0, 1)


def test_a_draw_that_fails_keeps_nothing_and_holds_no_lock(path: Path) -> None:
    def fails(*_: object) -> Responses:
        raise KeyboardInterrupt

    source = Source()
    ResponseCache(path).complete(PROMPTS[:1], SAMPLES[:1], source)
    with pytest.raises(KeyboardInterrupt):
        ResponseCache(path).complete(PROMPTS, SAMPLES, fails)
    assert ResponseCache(path).complete(PROMPTS, SAMPLES, source)[1] == 1


def test_workers_share_a_file(path: Path) -> None:
    """Four at once on overlapping rows, with no file there yet: all get the same, none is lost."""
    prompts = [np.array([3, index], dtype=np.int32) for index in range(60)]
    expected = Source()(prompts, range(60))
    gate, failures = threading.Barrier(4), []

    def work(worker: int) -> None:
        try:
            gate.wait()
            for start in range(0, 60, 10):
                rows = [(index + 15 * worker) % 60 for index in range(start, start + 20)]
                drawn, _ = ResponseCache(path).complete([prompts[row] for row in rows], rows, Source())
                assert [row.tolist() for row in drawn.tokens] == [expected.tokens[r].tolist() for r in rows]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    unused = Source()
    drawn, found = ResponseCache(path).complete(prompts, range(60), unused)
    assert found == 60 and same(drawn, expected) and unused.calls == []


def test_of_two_that_draw_the_same_row_both_go_on_with_the_first_s(path: Path) -> None:
    """Their draws may differ in rounding, and a resumed run finds the one that is kept."""

    def shifted(prompts: Sequence[TokenArray], sample_ids: Sequence[int]) -> Responses:
        ours = Source()(prompts, sample_ids)
        return replace(ours, log_probs=[row + np.float32(0.25) for row in ours.log_probs])

    def overtaken(prompts: Sequence[TokenArray], sample_ids: Sequence[int]) -> Responses:
        ResponseCache(path).complete(PROMPTS[1:3], SAMPLES[1:3], shifted)
        return Source()(prompts, sample_ids)

    theirs, ours = shifted(PROMPTS[1:3], SAMPLES[1:3]), Source()(PROMPTS, SAMPLES)
    trained, found = ResponseCache(path).complete(PROMPTS, SAMPLES, overtaken)
    assert found == 0
    assert [row.tolist() for row in trained.log_probs] == [
        row.tolist() for row in (ours.log_probs[0], *theirs.log_probs, ours.log_probs[3])
    ]
    resumed, found = ResponseCache(path).complete(PROMPTS, SAMPLES, Source())
    assert found == 4 and same(resumed, trained)


def test_a_worker_killed_while_it_writes_loses_its_own_call(path: Path) -> None:
    """Its transaction is rolled back by whoever opens the file next."""
    source = Source()
    ResponseCache(path).complete(PROMPTS[:2], SAMPLES[:2], source)
    dies = (
        "import os, signal, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute('DELETE FROM responses')\n"
        "for i in range(999):\n"
        "    c.execute('INSERT INTO responses VALUES (?, ?, 0, ?, ?, ?)', (b'p', i, b'x' * 500, b'', b''))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    before = path.stat().st_size
    killed = subprocess.run([sys.executable, "-c", dies, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.stat().st_size > before, "some of it had reached the file"
    drawn, found = ResponseCache(path).complete(PROMPTS, SAMPLES, source)
    assert found == 2 and same(drawn, Source()(PROMPTS, SAMPLES))


def _overwrite(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _flip(path: Path) -> None:
    """One bit of a token, which SQLite does not notice."""
    with sqlite3.connect(path) as connection:
        tokens = connection.execute("SELECT tokens FROM responses WHERE sample = 11").fetchone()[0]
    content = path.read_bytes()
    assert content.count(tokens) == 1
    path.write_bytes(content.replace(tokens, bytes([tokens[0] ^ 1]) + tokens[1:]))


@pytest.mark.parametrize("damage", [_overwrite, _cut, _flip])
def test_a_damaged_file_is_told_with_its_name_and_remedy(path: Path, damage: Callable[[Path], None]) -> None:
    ResponseCache(path).complete(PROMPTS, SAMPLES, Source())
    damage(path)
    with pytest.raises(ResponseCacheError, match=r"damaged .*Delete this file") as caught:
        ResponseCache(path).complete(PROMPTS, SAMPLES, Source())
    assert str(path) in str(caught.value)
    assert caught.value.code == "data_error"
    path.unlink()
    assert ResponseCache(path).complete(PROMPTS, SAMPLES, Source())[1] == 0


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "store.sqlite", tmp_path):
        with pytest.raises(ResponseCacheError, match=r"cannot be used: .*worker\.cache_dir") as caught:
            ResponseCache(path).complete(PROMPTS, SAMPLES, Source())
        assert str(path) in str(caught.value)
