"""Where responses come from and which of them a batch takes: the optional fields of generate and build."""

import pytest

from tests.contract.any_worker import AnyWorker, Message
from tests.contract.conformance_test import drop, generate


def build(*parts: Message) -> Message:
    """Arguments of a batch of step 1."""
    return {"out": "step:1/batch", "parts": list(parts)}


class TestBuild:
    def test_rows_of_several_rollouts_are_picked_under_one_part(self, worker: AnyWorker) -> None:
        for name in ("a", "b"):
            worker.result("generate", generate(f"buffer/{name}", rows=3))
        parts = [
            {"part": "on", "rollout": "buffer/a", "picks": [2, 0, 2]},
            {"part": "off", "dataset": "train", "rows": [1]},
            {"part": "on", "rollout": "buffer/b", "picks": []},
            {"part": "on", "rollout": "buffer/b"},
        ]
        worker.result("build", build(*parts))
        worker.result("end_step", {"step": 1})
        worker.result("drop", drop("buffer/a", "buffer/b"))

    @pytest.mark.parametrize("picks", [[3], [0, 65535], [-1]])
    def test_a_row_that_the_rollout_does_not_have(self, worker: AnyWorker, picks: list[int]) -> None:
        worker.result("generate", generate("buffer/a", rows=3))
        part = {"part": "on", "rollout": "buffer/a", "picks": picks}
        error = worker.error(worker.request("build", build(part)))
        assert (error["code"], error["applied"]) == ("invalid_argument", False)
        assert "picks" in error["message"]
        worker.open_epoch()
        worker.result("build", build({**part, "picks": [2]}))
        worker.result("end_step", {"step": 1})
        worker.result("drop", drop("buffer/a"))


class TestGenerate:
    def test_fields_that_are_off_change_nothing(self, worker: AnyWorker) -> None:
        plain = worker.result("generate", generate("buffer/a"))
        off = worker.result(
            "generate", {**generate("buffer/b"), "mixture": 0.0, "cache": False, "background": False}
        )
        assert off == plain
        assert plain["cached"] == 0
        worker.result("drop", drop("buffer/a", "buffer/b"))

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"role": "teacher", "mixture": 0.5}, "mixture"),
            ({"mixture": 1.5}, "mixture"),
            ({"cache": True}, "cache"),
            ({"cache": True, "mixture": 0.5}, "cache"),
            ({"cache": 1}, "cache"),
            ({"role": "teacher", "background": True}, "background"),
        ],
    )
    def test_mixing_and_background_are_for_the_student_and_keeping_for_the_teacher(
        self, worker: AnyWorker, changes: Message, field: str
    ) -> None:
        error = worker.error(worker.request("generate", {**generate("buffer/a"), **changes}))
        assert (error["code"], error["applied"]) == ("invalid_argument", False)
        assert field in error["message"]

    def test_an_operation_that_needs_a_rollout_of_the_background_has_it(self, worker: AnyWorker) -> None:
        plain = worker.result("generate", generate("step:1/a", rows=3))
        background = worker.request("generate", {**generate("buffer/b", rows=3), "background": True})
        part = {"part": "on", "rollout": "buffer/b", "picks": [2, 0]}
        worker.result("build", build(part))
        assert worker.reply(background)["result"] == plain
        worker.result("end_step", {"step": 1})
        worker.result("drop", drop("buffer/b"))
