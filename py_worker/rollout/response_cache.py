"""Responses kept on disk, so that a teacher draws each of them once.

One SQLite file holds the responses of one teacher under one sampling setting and seed (see
`fingerprint.store_key`). A call's new rows go into it in one transaction: a process that is killed loses the
call it was in and nothing before. SQLite's locks let workers share the folder; of two that draw the same row
the first one's is kept and both go on with it, for draws may differ in rounding, and a resumed run finds what
is kept. The journal is the plain one, which, unlike the write-ahead log, also works in a folder shared over a
network.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from py_worker.rollout.errors import ResponseCacheError
from py_worker.rollout.request import TokenArray
from py_worker.rollout.responses import Responses

_LOCK_S: Final = 60.0
"""How long to wait for another worker, which writes for milliseconds."""
_IDS: Final = np.dtype("<i4")
_LOG_PROBS: Final = np.dtype("<f4")
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS responses (
    prompt BLOB NOT NULL,      -- SHA-256 of its ids as little-endian int32
    sample INTEGER NOT NULL,   -- sample id
    ended INTEGER NOT NULL,    -- 1 where it ended with EOS
    tokens BLOB NOT NULL,      -- little-endian int32
    log_probs BLOB NOT NULL,   -- little-endian float32, one per token
    digest BLOB NOT NULL,      -- SHA-256 of all the above
    PRIMARY KEY (prompt, sample)
)"""

Draw = Callable[[Sequence[TokenArray], Sequence[int]], Responses]
"""Draws responses to prompts under sample ids."""
_Row = tuple[bytes, int, int, bytes, bytes, bytes]


@dataclass(frozen=True)
class _Response:
    tokens: TokenArray
    ended: bool
    log_probs: npt.NDArray[np.float32]


class ResponseCache:
    """The responses in one file; opened for each access, so that it holds neither locks nor state."""

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: the file; made when missing, with its folder.
        """
        self._path = path

    def complete(
        self, prompts: Sequence[TokenArray], sample_ids: Sequence[int], draw: Draw
    ) -> tuple[Responses, int]:
        """The kept responses; those that are missing are drawn in one call and kept.

        Args:
            prompts: token ids.
            sample_ids: one per prompt; the key of a response together with the prompt.
            draw: not called when nothing is missing.

        Returns:
            Responses in the order of the prompts, and how many of them were found.

        Raises:
            ResponseCacheError: the file is damaged or cannot be used.
        """
        keys = [(_prompt_hash(prompt), sample) for prompt, sample in zip(prompts, sample_ids, strict=True)]
        responses = self._find(keys)
        missing = [index for index, response in enumerate(responses) if response is None]
        decoded_rows = 0
        if missing:
            drawn = draw([prompts[index] for index in missing], [sample_ids[index] for index in missing])
            decoded_rows = drawn.decoded_rows
            new = list(map(_Response, drawn.tokens, drawn.ended, drawn.log_probs))
            kept = self._keep([keys[index] for index in missing], new)
            for index, response in zip(missing, kept, strict=True):
                responses[index] = response
        whole = [response for response in responses if response is not None]
        completed = Responses(
            tokens=[response.tokens for response in whole],
            ended=[response.ended for response in whole],
            log_probs=[response.log_probs for response in whole],
            decoded_rows=decoded_rows,
        )
        return completed, len(keys) - len(missing)

    def _find(self, keys: Sequence[tuple[bytes, int]]) -> list[_Response | None]:
        with self._transaction() as connection:
            rows = _read(connection, keys)
        return [None if row is None else self._unpacked(row) for row in rows]

    def _keep(
        self, keys: Sequence[tuple[bytes, int]], responses: Sequence[_Response]
    ) -> list[_Response | None]:
        """What the file has then: another worker's response where that was there first."""
        new = [_packed(*key, response) for key, response in zip(keys, responses, strict=True)]
        with self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?, ?)", new)
            rows = _read(connection, keys)
        return [None if row is None else self._unpacked(row) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of what is written; one at a time over all processes, reading included."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=_LOCK_S, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_TABLE)
                yield connection
                connection.execute("COMMIT")
        except (OSError, sqlite3.OperationalError) as error:
            raise ResponseCacheError(
                f"{self._path}: the kept responses cannot be used: {error}. Free some space there, make the "
                "folder writable, or name another one in worker.cache_dir"
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def _unpacked(self, row: _Row) -> _Response:
        prompt, sample, ended, tokens, log_probs, digest = row
        if _digest(prompt, sample, ended, tokens, log_probs) != digest:
            raise self._damaged(f"sample {sample} does not have the digest it was written with")
        return _Response(
            np.frombuffer(tokens, _IDS).astype(np.int32),
            bool(ended),
            np.frombuffer(log_probs, _LOG_PROBS).astype(np.float32),
        )

    def _damaged(self, reason: str) -> ResponseCacheError:
        return ResponseCacheError(
            f"{self._path}: the kept responses are damaged ({reason}). Delete this file; its responses will "
            "be drawn again"
        )


def _read(connection: sqlite3.Connection, keys: Sequence[tuple[bytes, int]]) -> list[_Row | None]:
    query = "SELECT * FROM responses WHERE prompt = ? AND sample = ?"
    return [connection.execute(query, key).fetchone() for key in keys]


def _prompt_hash(prompt: TokenArray) -> bytes:
    return sha256(prompt.astype(_IDS).tobytes()).digest()


def _packed(prompt: bytes, sample: int, response: _Response) -> _Row:
    tokens, log_probs = (
        response.tokens.astype(_IDS).tobytes(),
        response.log_probs.astype(_LOG_PROBS).tobytes(),
    )
    content = (prompt, sample, int(response.ended), tokens, log_probs)
    return *content, _digest(*content)


def _digest(prompt: bytes, sample: int, ended: int, tokens: bytes, log_probs: bytes) -> bytes:
    """The lengths, too, so that a byte cannot move from one field to the next."""
    head = f"{sample} {ended} {len(tokens)} {len(log_probs)} ".encode()
    return sha256(head + prompt + tokens + log_probs).digest()
