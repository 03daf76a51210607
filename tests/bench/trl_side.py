"""TRL's GKDTrainer, driven step by step: the other side of `trl_gkd.py`, run by a Python that has TRL.

Commands come on standard input as JSON lines, answers leave on standard output, and nothing else does:
`{"do": "loss", "rows": N}` gives the objective on the responses of the first N rows; `{"do": "steps",
"count": N}` lets N steps of the trainer's own loop run, and answers when the device has done them. At the end
of the input it stops. A step reaches from one `on_step_end` to the next, so it has all that the loop does.

What is not work of a step is off: logging, saving, evaluation, progress bars, checks of the loss for NaN. The
rows are tokenized beforehand. Nothing ends early, because the models name no end, which costs less in every
step than keeping the end from being drawn.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl.experimental.gkd import GKDConfig, GKDTrainer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MANY_STEPS = 1_000_000


class Counts:
    """What the steps of one turn have done."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.clear()

    def clear(self) -> None:
        self.labels: list[torch.Tensor] = []
        self.widths: list[int] = []
        self.generate_s: list[float] = []

    def wait_for_device(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def answer(self) -> dict[str, Any]:
        self.wait_for_device()
        return {
            "tokens": [int((labels != -100).sum()) for labels in self.labels],
            "widths": self.widths,
            "generate_s": self.generate_s,
        }


class CountingTrainer(GKDTrainer):
    """Notes what `generate` gave and how long it took; nothing else differs."""

    counts: Counts

    def generate_on_policy_outputs(self, model: Any, inputs: Any, generation_config: Any) -> Any:
        start = time.perf_counter()
        outputs = GKDTrainer.generate_on_policy_outputs(model, inputs, generation_config)
        self.counts.wait_for_device()
        self.counts.generate_s.append(time.perf_counter() - start)
        self.counts.labels.append(outputs[2])
        self.counts.widths.append(outputs[0].shape[1])
        return outputs


class Turns(TrainerCallback):
    """Holds the trainer's loop while nothing is asked for."""

    trainer: CountingTrainer

    def __init__(self, commands: TextIO, answers: TextIO, counts: Counts) -> None:
        self._commands, self._answers, self._counts = commands, answers, counts
        self._left = 0

    def send(self, answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)

    def on_train_begin(self, _args: Any, _state: Any, control: Any, **_: Any) -> Any:
        # The trainer has just taken the tokenizer's end over into both.
        model = self.trainer.model
        model.config.eos_token_id = model.generation_config.eos_token_id = None
        self.send({"ready": description(self.trainer)})
        self._wait()
        return control

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            self.send(self._counts.answer())
            self._wait()
        return control

    def _wait(self) -> None:
        """Until steps are asked for."""
        for line in self._commands:
            command = json.loads(line)
            if command["do"] == "steps":
                self._counts.clear()
                self._left = command["count"]
                return
            self.send({"loss": objective(self.trainer, command["rows"])})
        os._exit(0)  # no more input: the trainer's own end would write a summary


def read_rows(path: Path, tokenizer: Any) -> Dataset:
    """Rows with ids, as the collator takes them without tokenizing."""
    columns: dict[str, list[Any]] = {"prompt": [], "input_ids": [], "completion_mask": []}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        prompt, response = (tokenizer(row[name])["input_ids"] for name in ("instruction", "output"))
        response = [*response, tokenizer.eos_token_id]
        columns["prompt"].append(row["instruction"])
        columns["input_ids"].append(prompt + response)
        columns["completion_mask"].append([0] * len(prompt) + [1] * len(response))
    return Dataset.from_dict(columns)


def make_trainer(args: argparse.Namespace, turns: Turns) -> CountingTrainer:
    tokenizer = AutoTokenizer.from_pretrained(args.folder / "student")
    student = AutoModelForCausalLM.from_pretrained(args.folder / "student", dtype=DTYPES[args.student_dtype])
    teacher = AutoModelForCausalLM.from_pretrained(args.folder / "teacher", dtype=DTYPES[args.dtype])
    for model in (student, teacher):
        model.config.eos_token_id = model.generation_config.eos_token_id = None
    config = GKDConfig(
        output_dir=str(args.folder / "trl"),
        per_device_train_batch_size=args.batch,
        max_steps=MANY_STEPS,
        max_length=args.prompt + args.new_tokens,
        max_new_tokens=args.new_tokens,
        lmbda=1.0,
        beta=0.5,
        temperature=1.0,
        learning_rate=1e-6,
        lr_scheduler_type="constant",
        weight_decay=0.01,
        max_grad_norm=1.0,
        bf16=args.dtype == "bfloat16",
        use_cpu=args.device == "cpu",
        gradient_checkpointing=False,
        logging_strategy="no",
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_nan_inf_filter=False,
        dataloader_pin_memory=args.device == "cuda",
    )
    trainer = CountingTrainer(
        model=student,
        teacher_model=teacher,
        args=config,
        train_dataset=read_rows(args.folder / "data.jsonl", tokenizer),
        processing_class=tokenizer,
        callbacks=[turns],
    )
    trainer.generation_config.eos_token_id = None
    return trainer


def objective(trainer: CountingTrainer, rows: int) -> float:
    """On the rows' own responses, as `training_step` would have it."""
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(rows)])
    inputs = trainer._prepare_inputs(batch)
    with torch.no_grad(), trainer.compute_loss_context_manager():
        return float(trainer.compute_loss(trainer.model, inputs))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="TRL's GKDTrainer, driven step by step.")
    parser.add_argument("folder", type=Path, help="models and rows")
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--dtype", choices=DTYPES, required=True, help="teacher's weights; matrix products")
    parser.add_argument("--student-dtype", choices=DTYPES, required=True, help="of the student's weights")
    for name in ("batch", "prompt", "new-tokens", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    torch.backends.cuda.enable_cudnn_sdp(False)  # as the worker does, or each new length would cost a plan
    # Whatever libraries print goes to the log.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    counts = Counts(args.device)
    turns = Turns(sys.stdin, answers, counts)
    trainer = make_trainer(args, turns)
    trainer.counts = counts
    turns.trainer = trainer
    trainer.train()


def description(trainer: CountingTrainer) -> dict[str, Any]:
    """What runs here."""
    import accelerate
    import transformers
    import trl

    models = {"student": trainer.model, "teacher": trainer.teacher_model}
    return {
        "parameters": {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()},
        "attention": {name: model.config._attn_implementation for name, model in models.items()},
        "cudnn_attention": torch.backends.cuda.cudnn_sdp_enabled(),
        "optimizer": str(trainer.args.optim),
        "versions": {
            module.__name__: module.__version__ for module in (torch, trl, transformers, accelerate)
        },
    }


if __name__ == "__main__":
    main()
