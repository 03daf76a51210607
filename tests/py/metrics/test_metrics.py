import pytest

from py_worker.metrics import METRICS, exact_match, rouge_l


def lcs_f(prediction: list[str], reference: list[str]) -> float:
    """ROUGE-L's F-measure x 100 from its definition: longest common subsequence by dynamic programming."""
    table = [[0] * (len(reference) + 1) for _ in range(len(prediction) + 1)]
    for i, mine in enumerate(prediction, 1):
        for j, theirs in enumerate(reference, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if mine == theirs else max(table[i - 1][j], table[i][j - 1])
    common = table[-1][-1]
    if not common:
        return 0.0
    precision, recall = common / len(prediction), common / len(reference)
    return 100 * 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("the cat sat on the mat", "the cat lay on a mat"),
        ("a b c d", "d c b a"),
        ("one", "two"),
        ("same words", "same words"),
    ],
)
def test_rouge_l_by_definition(prediction: str, reference: str) -> None:
    assert rouge_l(prediction, [reference]) == pytest.approx(lcs_f(prediction.split(), reference.split()))


def test_rouge_l_takes_the_best_reference_and_stems() -> None:
    references = ["nothing alike", "the dogs were running"]
    assert rouge_l("the dog was run", references) == pytest.approx(
        lcs_f(["the", "dog", "x", "run"], ["the", "dog", "y", "run"])
    )
    assert rouge_l("  the dogs were running\n", references) == 100.0


def test_rouge_l_of_an_empty_response_is_zero() -> None:
    assert rouge_l("", ["a"]) == 0.0
    assert rouge_l(" \n", ["a"]) == 0.0


def test_exact_match() -> None:
    assert exact_match("42", ["41", "42"]) == 100.0
    assert exact_match(" 42\n", ["42"]) == 100.0
    assert exact_match("42.", ["42"]) == 0.0
    assert exact_match("ab", ["AB"]) == 0.0


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_a_percentage_and_needs_references(name: str) -> None:
    assert METRICS[name]("same", ["same"]) == 100.0
    assert METRICS[name]("same", ["other"]) == 0.0
    with pytest.raises(ValueError, match="at least one reference"):
        METRICS[name]("same", [])
