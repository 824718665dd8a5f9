"""The Hugging Face Trainer: bf16 autocast, fused AdamW, cosine schedule."""

from __future__ import annotations

import tempfile
import time

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks.training import contest

CALIBRATION = 15
"""Steps whose speed tells how many fit into the time."""


class Rows(Dataset):
    def __init__(self, rows: object) -> None:
        self.rows = torch.from_numpy(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        # The Trainer's models shift by themselves: labels are the inputs.
        return {"input_ids": self.rows[number, :-1], "labels": self.rows[number, :-1]}


class Clock(TrainerCallback):
    def __init__(self, seconds: float = 0.0) -> None:
        self.times: list[float] = []
        self.seconds = seconds

    def on_step_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
        self.times.append(time.perf_counter())
        if self.seconds and self.times[-1] - self.times[0] > self.seconds:
            control.should_training_stop = True


def train(given: object, model: torch.nn.Module, steps: int, rate: float, seconds: float = 0.0) -> Clock:
    clock = Clock(seconds)
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=contest.BATCH,
            max_steps=steps,
            learning_rate=rate,
            lr_scheduler_type="cosine",
            warmup_steps=min(40, steps // 10),
            adam_beta2=0.95,
            weight_decay=0.1,
            optim="adamw_torch_fused",
            bf16=True,
            use_cpu=True,
            logging_steps=10**9,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_num_workers=0,
            seed=1,
        )
        Trainer(model, settings, train_dataset=Rows(contest.all_rows(given.tokens)), callbacks=[clock]).train()
    return clock


if __name__ == "__main__":
    chosen = contest.arguments(rate=1e-3)
    if not chosen.seconds:
        seconds = contest.median_interval(train(chosen, contest.plain_model(), chosen.steps + 3, chosen.rate).times)
        contest.say(tokens_per_second=contest.BATCH * contest.LENGTH / seconds)
    else:
        seconds = contest.median_interval(train(chosen, contest.plain_model(), CALIBRATION, chosen.rate).times)
        trained = contest.plain_model()
        clock = train(chosen, trained, int(chosen.seconds / seconds), chosen.rate, chosen.seconds)
        contest.say(
            bits_per_byte=contest.held_out(chosen.tokens, trained.eval()),
            seconds=clock.times[-1] - clock.times[0],
            tokens=len(clock.times) * contest.BATCH * contest.LENGTH,
        )
