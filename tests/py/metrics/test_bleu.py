"""Rows' counts, added up, against sacrebleu's own corpus BLEU."""

import json
from collections.abc import Sequence

import pytest
from sacrebleu.metrics import BLEU

from py_worker.metrics import bleu_statistics
from tests.fixtures.bleu.make_bleu import CORPORA, FILE, made, sacrebleu_of

Corpus = Sequence[tuple[str, Sequence[str]]]


def bleu_of_sums(rows: Corpus) -> float:
    """By sacrebleu's function of counts, from the sums of ours."""
    sums = [int(sum(column)) for column in zip(*(bleu_statistics(*row) for row in rows), strict=True)]
    return float(BLEU.compute_bleu(sums[2:6], sums[6:], sums[0], sums[1], smooth_method="exp").score)


@pytest.mark.parametrize("name", CORPORA, ids=lambda name: name.replace(" ", "-"))
def test_sums_over_rows_give_the_corpus_s_bleu(name: str) -> None:
    """Also where rows have different numbers of references, no words, or no match of an order."""
    assert bleu_of_sums(CORPORA[name]) == sacrebleu_of(CORPORA[name])


def test_corpora_are_of_every_kind() -> None:
    rows = CORPORA["many rows, brevity penalty"]
    assert {len(references) for _, references in rows} == {1, 2, 3}
    assert 0 < sacrebleu_of(rows) < 100


def test_the_counts_by_hand() -> None:
    # "the" counts twice in the prediction and once in any reference; lengths 4 and 6 are as near to 5.
    statistics = bleu_statistics("the the cat sat down", ["a the cat sat in there", "the cat ran down"])
    assert statistics == [5, 4, 4, 2, 1, 0, 5, 4, 3, 2]
    assert bleu_statistics("", ["a b"]) == [0, 2, 0, 0, 0, 0, 0, 0, 0, 0]


def test_spaces_around_a_prediction_do_not_count_and_case_does() -> None:
    plain = bleu_statistics("It's 9 a.m., isn't it?", ["It's 9 a.m., isn't it?"])
    assert bleu_statistics(" \n It's 9 a.m., isn't it?\n", ["It's 9 a.m., isn't it?"]) == plain
    assert plain[2:6] == plain[6:]
    assert bleu_statistics("IT'S", ["it's"])[2] == 0


def test_references_are_needed() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        bleu_statistics("a", [])


def test_the_controller_s_fixture_is_of_these_texts() -> None:
    written = json.loads(FILE.read_text(encoding="utf-8"))
    assert [case["name"] for case in written] == list(CORPORA)
    for case, now in zip(written, made(), strict=True):
        assert case["statistics"] == now["statistics"]
        assert case["bleu"] == pytest.approx(now["bleu"], rel=1e-12)
