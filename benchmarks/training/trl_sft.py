"""TRL's SFTTrainer in bf16, on rows that are tokens already."""

from __future__ import annotations

import tempfile

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from benchmarks.training import contest
from benchmarks.training.hf_trainer import Clock

if __name__ == "__main__":
    chosen = contest.arguments()
    model = contest.plain_model().to(torch.bfloat16)
    rows = contest.all_rows(chosen.tokens)[: contest.BATCH * (chosen.steps + 3), :-1]
    clock = Clock()
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=contest.BATCH,
            max_steps=chosen.steps + 3,
            max_length=contest.LENGTH,
            packing=False,
            bf16=True,
            use_cpu=True,
            optim="adamw_torch_fused",
            logging_steps=10**9,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            gradient_checkpointing=False,
        )
        SFTTrainer(
            model,
            settings,
            train_dataset=Dataset.from_dict({"input_ids": rows.tolist()}),
            processing_class=AutoTokenizer.from_pretrained(chosen.tokens / "tokenizer"),
            callbacks=[clock],
        ).train()
    contest.say(tokens_per_second=contest.BATCH * contest.LENGTH / contest.median_interval(clock.times))
