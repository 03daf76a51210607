"""Whether two tokenizers mean the same by the same ids, and how much of two embedding tables is shared."""

from typing import Any

from py_worker.models.errors import ModelError, VocabularyError


def token_count(tokenizer: Any) -> int:
    """One more than the largest id the tokenizer can produce."""
    return int(max(tokenizer.get_vocab().values())) + 1


def usable_tokens(tokenizer: Any, rows: int, name: str) -> int:
    """Ids of a tokenizer that an embedding table of `rows` has rows for.

    Tokens that were added to it may lie beyond, as Gemma 3's of images where the model reads text alone; data
    that has one is refused (`TokenizedDataset.require_below`).

    Raises:
        ModelError: the EOS token is beyond the table, or one that texts are made of.
    """
    tokens = token_count(tokenizer)
    beyond = {index for index in tokenizer.get_vocab().values() if index >= rows}
    if tokenizer.eos_token_id in beyond or beyond - tokenizer.added_tokens_decoder.keys():
        raise ModelError(
            f"{name}: the tokenizer has ids up to {tokens - 1}, the embedding table {rows} rows; "
            "use the tokenizer that belongs to the model"
        )
    return min(tokens, rows)


def shared_vocabulary(student: Any, teacher: Any, student_name: str, teacher_name: str) -> int:
    """Ids below which both tokenizers mean the same.

    The student's tokenizer makes the data, so it may not know a token that the teacher does not; the
    teacher may know more.

    Args:
        student: the student's tokenizer.
        teacher: the teacher's tokenizer.
        student_name: for the message.
        teacher_name: for the message.

    Raises:
        VocabularyError: an id stands for different tokens, or the student has ids that the teacher lacks.
    """
    ours = {index: token for token, index in student.get_vocab().items()}
    theirs = {index: token for token, index in teacher.get_vocab().items()}
    for index in sorted(ours):
        if ours[index] != theirs.get(index):
            other = repr(theirs[index]) if index in theirs else "no token"
            raise VocabularyError(
                f"student {student_name!r} ({len(ours)} tokens) and teacher {teacher_name!r} ({len(theirs)} "
                f"tokens) have different tokenizers: id {index} is {ours[index]!r} for the student and "
                f"{other} for the teacher. Choose models of one family, or train on the teacher's texts"
            )
    return int(max(ours)) + 1
