from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from py_worker.data.errors import DataError
from py_worker.data.files import BadLines, read_file


def jsonl(folder: Path, *lines: bytes) -> Path:
    path = folder / "data.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


def read(path: Path, skip: bool = False) -> tuple[list[tuple[str, object]], int]:
    bad = BadLines(skip)
    rows = list(read_file(path, bad))
    return rows, bad.count


def test_jsonl_counts_lines_from_one_and_passes_over_empty_ones(tmp_path: Path) -> None:
    rows, _ = read(jsonl(tmp_path, b'\xef\xbb\xbf{"a": 1}\r', b"", b'{"a": "\xc3\xa9"}', b""))
    assert [value for _, value in rows] == [{"a": 1}, {"a": "é"}]
    assert [place.rsplit(", ", 1)[1] for place, _ in rows] == ["line 1", "line 3"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": 1,}', r"line 2: not valid JSON at column \d+"),
        (b'{"a": "x"', r"line 2: not valid JSON"),
        (b'{"a": "\xff"}', r"line 2: not valid UTF-8 at byte 8"),
        (b"[" * 100_000, r"line 2: (JSON nested too deeply|not valid JSON)"),
        (b'{"a": ["\\uD83D"]}', r"line 2: half of a surrogate pair is not valid Unicode text"),
        (b'{"\\ud83d": "a"}', r"line 2: half of a surrogate pair"),
        (b'{"a": %s}' % (b"1" * 5000), r"line 2: .*4300 digits"),
    ],
)
def test_a_bad_line_is_an_error_or_is_counted(tmp_path: Path, line: bytes, message: str) -> None:
    path = jsonl(tmp_path, b"{}", line, b"{}")
    with pytest.raises(DataError, match=message):
        read(path)
    rows, skipped = read(path, skip=True)
    assert (len(rows), skipped) == (2, 1)


def test_a_whole_surrogate_pair_is_text(tmp_path: Path) -> None:
    rows, _ = read(jsonl(tmp_path, b'{"a": "\\ud83d\\ude00"}'))
    assert rows[0][1] == {"a": "😀"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_json_array(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "data.json"
    path.write_text('[{"a": 1}, 5]', encoding=encoding)
    rows, _ = read(path)
    assert rows == [(f"{path}, item 1", {"a": 1}), (f"{path}, item 2", 5)]


class Searched(str):
    """Counts how often a text is looked for in it."""

    searches = 0

    def __contains__(self, text: object) -> bool:
        self.searches += 1
        return super().__contains__(text)


def test_a_json_array_is_searched_once_however_many_items_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Searched('[{"a": "\\u00e9"}, 5, 6]')
    path = tmp_path / "data.json"
    path.write_text(text)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert [value for _, value in read(path)[0]] == [{"a": "é"}, 5, 6]
    assert text.searches == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "expected an array"),
        ('{"a": 1}\n{"a": 2}', "Then name it .jsonl"),
        ('[{"a": 1},]', r"not valid JSON: [^.]*$"),
    ],
)
def test_json_that_is_no_array(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read(path)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"instruction": ["a", "b"], "output": [["x"], ["y", "z"]]}), path)
    rows, _ = read(path)
    assert rows[1] == (f"{path}, row 2", {"instruction": "b", "output": ["y", "z"]})


def test_a_bad_item_is_an_error_or_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('[{"a": "\\ude00"}, 5]')
    with pytest.raises(DataError, match=r"data.json, item 1: half of a surrogate pair"):
        read(path)
    assert read(path, skip=True) == ([(f"{path}, item 2", 5)], 1)


def test_a_bad_row_of_parquet_is_an_error_or_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    ends = pa.py_buffer(np.array([0, 1, 2, 3], np.int32))
    text = pa.Array.from_buffers(pa.string(), 3, [None, ends, pa.py_buffer(b"a\xffb")])
    pq.write_table(pa.table({"a": text, "t": pa.array([1, 1, 2**62], pa.timestamp("us"))}), path)
    with pytest.raises(DataError, match=r"data.parquet, row 2: .*can't decode byte 0xff"):
        read(path)
    rows, skipped = read(path, skip=True)
    assert ([place for place, _ in rows], skipped) == ([f"{path}, row 1"], 2)


def no_parquet(folder: Path) -> Path:
    path = folder / "broken.parquet"
    path.write_bytes(b"PAR1 but not really")
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_parquet, "not a readable parquet file"),
        (lambda folder: folder / "missing.jsonl", "no such file"),
        (lambda folder: folder / "data.csv", "unknown kind of data file; use one of .jsonl, .json, .parquet"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(make(tmp_path))
