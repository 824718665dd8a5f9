"""The step `extend-vocabulary`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import Field

from loresmith.data.corpus import require_use
from loresmith.data.steps.stopping import stopper
from loresmith.factory.step import Check, Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext


class ExtendVocabularyConfig(StepConfig):
    """More tokens for a base model, learnt from the text of a domain."""

    new_tokens: int = Field(
        default=1024,
        ge=1,
        le=1_000_000,
        description="How many tokens to add at most. Each makes the embeddings larger by a row, and some text shorter.",
    )
    minimum_count: int = Field(
        default=32,
        ge=2,
        description="A token that would stand in the training text fewer times is not added: its row learns only "
        "where it stands.",
    )
    training_bytes: int = Field(
        default=64 << 20,
        ge=1,
        description="About how much text, in bytes, the tokens are learnt from; of more, a sample is taken.",
    )


def _extend_vocabulary(
    context: StepContext, config: ExtendVocabularyConfig, inputs: Mapping[str, InputAsset]
) -> Result:
    from loresmith.data.domain_merges import count_words, learn_merges
    from loresmith.data.encoding_record import compare_encoders, sample_of, write_record
    from loresmith.data.learning_sample import LearningSample
    from loresmith.data.vocabulary_gain import measure_gain, page
    from loresmith.models.vocabulary import extend_model, spelling_of

    base, corpus = inputs["base"].directory, inputs["corpus"].directory
    require_use(corpus, "train")
    look = stopper(context)
    spelling = spelling_of(base)
    sample = LearningSample(corpus, config.training_bytes, context)
    words = count_words(base, sample.batches())

    def told(done: int) -> None:
        look()
        context.progress(done, config.new_tokens, "tokens")

    merges = learn_merges(words, spelling, config.new_tokens, config.minimum_count, told)
    if len(merges) < config.new_tokens:
        context.log(f"only {len(merges)} pairs stand in the text {config.minimum_count} times or more")
    model, tokenizer, report = (context.output(role) for role in ("model", "tokenizer", "report"))
    parity = extend_model(base, model, tokenizer, [(merge.left, merge.right, merge.token) for merge in merges])
    look()
    record = compare_encoders(tokenizer, sample_of(corpus, look))
    for directory in (tokenizer, model):
        write_record(record, directory)
    if record.reason:
        context.log(f"text will be encoded by {record.libraries[0]}, the slower way: {record.reason}")
    gain = measure_gain(base, tokenizer, corpus, merges, look)
    (report / "report.json").write_text(json.dumps(gain, indent=2) + "\n", encoding="utf-8")
    (report / "report.md").write_text(page(gain), encoding="utf-8")
    for split, row in gain["splits"].items():
        context.metric(f"gain/{split}", row["gain"], len(merges))
    facts = {
        "new_tokens": len(merges),
        "vocabulary_size": gain["vocabulary_size"]["after"],
        "gain": {split: row["gain"] for split, row in gain["splits"].items()},
        "encoder": record.facts(),
    }
    documents = sum(row["documents"] for row in gain["splits"].values())
    equal = sum(row["round_trip"] for row in gain["splits"].values())
    return Result(
        {"model": Made(model, facts), "tokenizer": Made(tokenizer, facts), "report": Made(report, facts)},
        sample.books(),
        (
            Check("model", "extension-parity", bool(parity["passed"]), parity),
            Check("tokenizer", "round-trip", equal == documents, {"documents": documents, "equal": equal}),
        ),
    )


EXTEND_VOCABULARY = Step(
    name="extend-vocabulary",
    version=2,
    summary="Give a base model more tokens, learnt from a corpus, and say how much shorter they make its text.",
    config=ExtendVocabularyConfig,
    inputs={
        "base": Input("model", "What is extended; its tokenizer has to be byte-level, as most are."),
        "corpus": Input("corpus", "The text to learn from; only its training split is read to learn."),
    },
    outputs={
        "model": Output("model", "The base with the new tokens: what `pretrain` goes on from."),
        "tokenizer": Output("tokenizer", "Its tokenizer: what `pack` encodes with."),
        "report": Output("report", "Bytes per token before and after on each split, and the new tokens."),
    },
    run=_extend_vocabulary,
    packages=("tokenizers", "tiktoken", "torch", "transformers", "safetensors"),
    guess=lambda _config: Guess(seconds=60, peak_bytes=2 << 30, output_bytes=1 << 30),
)
