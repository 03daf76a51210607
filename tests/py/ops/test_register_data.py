"""What the reply says of a dataset."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from py_worker.data import encoding
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import data_source, load_student, load_teacher


@pytest.fixture
def student(empty: LocalWorker) -> LocalWorker:
    """A worker with a student alone."""
    empty.call("configure", **empty.settings)
    load_student(empty)
    return empty


def write(path: Path, groups: Iterable[str]) -> str:
    rows = ({"instruction": "a", "output": "b", "task": group} for group in groups)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def test_a_group_that_no_reply_can_name_is_a_bad_line(student: LocalWorker, tmp_path: Path) -> None:
    source = data_source(source=write(tmp_path / "data.jsonl", ["\ud83d", "good"]))
    error = student.error("register_data", dataset="d", source=source)
    assert (error["code"], error["applied"], student.session.datasets) == ("data_error", False, {})
    assert f"{tmp_path / 'data.jsonl'}, line 1: half of a surrogate pair" in error["message"]
    result = student.call("register_data", dataset="d", source={**source, "skip_bad_lines": True})
    assert (result["groups"], result["bad_lines"]) == ({"good": 1}, 1)


def test_tokenizing_may_be_cancelled_and_leaves_nothing(
    empty: LocalWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, tokenize, texts_read = tmp_path / "cache", encoding.tokenize, []
    empty.call("configure", **{**empty.settings, "cache_dir": str(cache)})
    load_student(empty)

    def cancel_on_the_way(tokenizer: Any, texts: list[str], special_tokens: bool) -> list[list[int]]:
        empty.cancel(empty.last_id)
        texts_read.extend(texts)
        return tokenize(tokenizer, texts, special_tokens)

    source = data_source(source=write(tmp_path / "data.jsonl", "abc"))
    with monkeypatch.context() as cancelled:
        cancelled.setattr(encoding, "_CHUNK", 1)
        cancelled.setattr(encoding, "tokenize", cancel_on_the_way)
        error = empty.error("register_data", dataset="d", source=source)
    assert (error["code"], error["applied"], empty.session.datasets) == ("cancelled", False, {})
    assert len(texts_read) == 2  # of the first row: its prompt, and the prompt with its answer
    assert not cache.exists()
    assert empty.call("register_data", dataset="d", source=source)["rows"] == 3
    assert len(list(cache.iterdir())) == 1


def test_the_largest_groups_are_named_where_there_are_many(student: LocalWorker, tmp_path: Path) -> None:
    groups = [f"task {i}" for i in range(300)]
    path = write(tmp_path / "data.jsonl", [*groups, *groups[100:]])
    result = student.call("register_data", dataset="d", source=data_source(source=path, limit=1000))
    assert (result["rows"], len(result["groups"])) == (500, 256)
    assert {name: rows for name, rows in result["groups"].items() if rows > 1} == dict.fromkeys(
        groups[100:], 2
    )


def test_rows_left_out_are_counted(student: LocalWorker, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "abcdefgh", "output": "b"}\n{"instruction": "a", "output": "b"}\n')
    source = data_source(source=str(path), max_prompt_tokens=5)
    cut = student.call("register_data", dataset="cut", source=source)
    assert (cut["rows"], cut["cut_prompts"], cut["dropped_prompts"]) == (2, 1, 0)
    dropped = student.call("register_data", dataset="dropped", source={**source, "long_prompts": "drop"})
    assert (dropped["rows"], dropped["cut_prompts"], dropped["dropped_prompts"]) == (1, 0, 1)
    assert dropped["content_hash"] != cut["content_hash"]


def test_a_template_that_does_not_suit_is_told_with_the_dataset(student: LocalWorker, tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    talk = [{"role": role, "content": "ab"} for role in ("system", "user", "assistant")]
    path.write_text(json.dumps({"messages": talk}))
    source = data_source(source=str(path))
    error = student.error("register_data", dataset="d", source=source)
    assert error["message"].startswith(
        f"dataset d: {path}, line 1: a conversation has messages before the user's last (system)"
    )
    error = student.error("register_data", dataset="d", source={**source, "template": "chat"})
    assert error["message"].startswith("dataset d: the tokenizer has no chat template; take another")
    assert student.session.datasets == {}


CHAT = "{% for message in messages %}{{ message['content'] }}<unk>{% endfor %}"
"""A chat template whose answers end with another token than EOS."""


@pytest.mark.parametrize(
    ("template", "teacher_ends", "noted"),
    [
        ("plain", (1,), None),
        ("plain", (40, 1), None),
        (
            "plain",
            (40, 2),
            "template plain responses in the data end with '<eos>' (id 1), the teacher's with 'D'",
        ),
        (
            "chat",
            (1,),
            "template chat responses in the data end with '<unk>' (id 2), the teacher's with '<eos>'",
        ),
        ("chat", (2,), None),
    ],
)
def test_a_teacher_that_ends_otherwise_is_noted(
    empty: LocalWorker, template: str, teacher_ends: tuple[int, ...], noted: str | None
) -> None:
    empty.call("configure", **empty.settings)
    load_teacher(empty)
    load_student(empty)
    tokenizer = empty.session.role("student").policy.tokenizer
    tokenizer.chat_template, tokenizer.split_special_tokens = CHAT, False
    empty.session.role("teacher").policy.eos_ids = teacher_ends
    result = empty.call("register_data", dataset="d", source=data_source(template=template, limit=2))
    notes = result.get("notes", [])
    assert [noted in note for note in notes] == ([] if noted is None else [True])


def test_without_responses_or_a_teacher_no_end_is_noted(empty: LocalWorker, tmp_path: Path) -> None:
    empty.call("configure", **empty.settings)
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "a", "output": []}\n')
    load_teacher(empty)
    empty.session.role("teacher").policy.eos_ids = (40,)
    assert "notes" not in empty.call("register_data", dataset="own", source=data_source())
    load_student(empty)
    assert "notes" not in empty.call("register_data", dataset="asked", source=data_source(source=str(path)))
    assert "notes" in empty.call("register_data", dataset="answered", source=data_source())


def test_rows_without_a_reference_are_counted(student: LocalWorker, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "a", "output": []}\n{"instruction": "a", "output": "b"}\n')
    result = student.call("register_data", dataset="d", source=data_source(source=str(path)))
    assert (result["rows"], result["unanswered"]) == (2, 1)


def test_what_a_chat_template_does_to_answers_is_told(student: LocalWorker, tmp_path: Path) -> None:
    tokenizer = student.session.role("student").policy.tokenizer
    path = tmp_path / "chats.jsonl"
    talks = ([{"role": "user", "content": "ab"}, {"role": "assistant", "content": text}] for text in "xyz")
    path.write_text("".join(f"{json.dumps({'messages': talk})}\n" for talk in talks))
    source = data_source(source=str(path), template="chat")

    def notes(name: str, template: str, **more: Any) -> list[str]:
        tokenizer.chat_template = template
        return student.call("register_data", dataset=name, source={**source, **more}).get("notes", [])

    thought = "{% if think is defined %}{% else %}so: {% endif %}"
    shown = "{% for m in messages %}{% if m.role == 'assistant' %}"
    shown += thought + "{% endif %}{{ m.content }}{% endfor %}"
    (note,) = notes("thought", shown)
    assert note.startswith("The chat template puts 'so: ' before answers: it is learned, and taken off")
    assert notes("chosen", shown, template_options='{"think": false}') == []
    opens = "{% if add_generation_prompt %}so{% endif %}"
    (note,) = notes("opened", "{% for m in messages %}{{ m.content }}{% endfor %}" + opens)
    assert note.startswith(
        "The chat template's prompt ends with 'so', behind which its own answers do not stand"
    )
    no_y = "{% if messages[-1].content == 'y' %}{{ raise_exception('no y') }}{% endif %}"
    tokenizer.chat_template = no_y + shown
    error = student.error("register_data", dataset="d", source=source)
    assert error["message"].startswith(f"dataset d: {path}, line 2: the tokenizer's chat template refuses")
    result = student.call("register_data", dataset="d", source={**source, "skip_bad_lines": True})
    assert (result["rows"], result["bad_lines"]) == (2, 1)


def test_an_answer_of_nothing_is_one(student: LocalWorker, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "a", "output": ""}\n{"instruction": "a", "output": " "}\n')
    result = student.call("register_data", dataset="d", source=data_source(source=str(path)))
    assert (result["rows"], result["unanswered"], result.get("notes", [])) == (2, 0, [])
