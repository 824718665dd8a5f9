"""The report: everything that is known of a corpus, and what it is enough for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from loresmith.advice.contamination import Contamination, contamination
from loresmith.advice.duplication import Duplication, duplication
from loresmith.advice.laws import LAWS, largest_model
from loresmith.advice.machine import Machine, measure
from loresmith.advice.model_sizes import ModelSize, largest_trainable, model_sizes
from loresmith.advice.part import Basis, Part
from loresmith.advice.personal_data import PersonalData, personal_data
from loresmith.advice.pilot import BATCH_TOKENS, LENGTH, Pilot, PilotSettings, no_pilot, run_pilot
from loresmith.advice.quality import Languages, Quality, quality
from loresmith.advice.sample import take_sample
from loresmith.advice.scores import has_scores, kept_scores, look
from loresmith.advice.survey import Contents, Survey, survey
from loresmith.advice.tokens import Tokens, count_tokens, own_tokenizer, usable
from loresmith.advice.verdict import Verdict, judge
from loresmith.errors import UserError

if TYPE_CHECKING:
    from loresmith.training.callbacks import Surroundings

COUNTED_BYTES = 64 << 20
"""Text that is encoded to count tokens; of more, a sample."""

LEAST_BYTES = 10_000
"""Text to learn from below which no training is thought of, and nothing is measured for one."""

CAVEATS = (
    "Laws of size and text were fitted on web text and models from 70 million to 16 billion parameters; below, and on "
    "other text, they are a guide.",
    "Tokens of another vocabulary are not these tokens: the large vocabularies of published models count a fifth to a "
    "half fewer in the same text.",
    "The verdict is about how much there is and what is on record of it. Whether the text is true, up to date and "
    "about what the model will be asked, nobody has checked.",
)


class Law(Part):
    """A law that the table of sizes uses."""

    name: str = Field(description="What it is called here.")
    formula: str = Field(description="L(N, D), in nats per token.")
    source: str = Field(description="Where it is from.")


class Readiness(Part):
    """What a corpus is good for. Legend: all amounts of text are UTF-8 bytes or tokens."""

    format: Literal[1] = Field(default=1, description="Of this object.")
    corpus: str = Field(description="Digest of the corpus.")
    verdict: Verdict = Field(description="What it is enough for.")
    contents: Contents = Field(description="What is in it.")
    duplication: Duplication = Field(description="What is in it more than once.")
    tokens: Tokens = Field(description="How much there is to learn from.")
    largest_model: int = Field(
        description="Parameters of the largest model that the text carries: 20 tokens each, in four times the text."
    )
    largest_trainable: int = Field(
        description="Parameters of the largest model that this machine can train whole; 0 where it was not looked at."
    )
    sizes: tuple[ModelSize, ...] = Field(description="Sizes of models against the text.")
    laws: tuple[Law, ...] = Field(description="The laws behind that.")
    languages: Languages = Field(description="What it is written in.")
    quality: Quality = Field(description="How good the text is.")
    personal_data: PersonalData = Field(description="What points at people or opens doors.")
    contamination: Contamination = Field(description="Whether evaluation can be trusted.")
    pilot: Pilot = Field(description="What more text would give.")
    machine: Machine | None = Field(description="What hours are reckoned by; null where there is nothing to train on.")
    caveats: tuple[str, ...] = Field(description="What the numbers do not say.")


class ReadinessSettings(Part):
    """What is looked at, and how closely."""

    sample_bytes: int
    vocabulary_size: int
    scratch_parameters: int
    pilot: PilotSettings | None


def assess(
    corpus: Path,
    digest: str,
    metadata: Mapping[str, Any],
    tokenizer: Path | None,
    checked: Sequence[Path],
    settings: ReadinessSettings,
    step: Surroundings,
) -> Readiness:
    """Look at a corpus from all sides.

    Args:
        digest, metadata: of the corpus.
        tokenizer: what tokens are counted by; None: a small one of its own.
        checked: the reports of checks for contamination, the newest first.
        step: what was done in its folder before an interruption is not done again.

    Raises:
        UserError: this is no corpus, or the tokenizer is none.
    """

    def stop_here(*_: object) -> None:
        if step.stop_requested():
            step.stopped()

    counted = survey(corpus, step)
    step.log(f"{counted.all.documents} documents, {counted.usable.documents} of them may be learnt from")
    copies = _duplication(corpus, step)
    different = copies.different_bytes / copies.bytes if copies.bytes else 0.0
    sample = take_sample(corpus, counted.all.bytes, settings.sample_bytes, step)
    if has_scores(corpus):
        good, languages = quality(kept_scores(corpus), None)
        good = good.model_copy(update={"from_curation": True})
    else:
        good, languages = quality(_looked(sample.texts, step), sample.basis)
    personal = personal_data(sample, metadata, step.seed, step)
    own = _own_tokenizer(corpus, settings, step, stop_here)
    chosen = tokenizer or own
    tokens = (
        count_tokens(
            corpus, chosen, tokenizer is None, counted.usable.bytes, different, COUNTED_BYTES, step.seed, stop_here
        )
        if chosen is not None and counted.usable.bytes
        else _no_tokens(tokenizer is None)
    )
    machine, pilot = _trained(corpus, own, counted, different, settings, step)
    overlaps = contamination(digest, metadata, checked)
    numbers = _numbers(counted, copies, tokens, good, languages, personal, overlaps, pilot)
    speed, memory = (machine.flops_per_second, machine.memory_bytes) if machine is not None else (0.0, 0)
    return Readiness(
        corpus=digest,
        verdict=judge(numbers, settings.scratch_parameters),
        contents=counted.contents(corpus),
        duplication=copies,
        tokens=tokens,
        largest_model=int(numbers["largest_model"]),
        largest_trainable=largest_trainable(memory),
        sizes=model_sizes(tokens.different, speed, memory) if machine is not None else (),
        laws=tuple(
            Law(
                name=law.name,
                formula=f"{law.E:g} + {law.A:g} / N^{law.alpha:g} + {law.B:g} / D^{law.beta:g}",
                source=law.source,
            )
            for law in LAWS
        ),
        languages=languages,
        quality=good,
        personal_data=personal,
        contamination=overlaps,
        pilot=pilot,
        machine=machine,
        caveats=CAVEATS,
    )


def _duplication(corpus: Path, step: Surroundings) -> Duplication:
    kept = step.work / "duplication.json"
    if kept.is_file():
        return Duplication.model_validate_json(kept.read_text(encoding="utf-8"))
    folder = step.work / "duplication"
    shutil.rmtree(folder, ignore_errors=True)
    found = duplication(lambda: usable(corpus, ("id", "text", "bytes")), folder)
    shutil.rmtree(folder)
    kept.write_text(found.model_dump_json(), encoding="utf-8")
    return found


def _looked(texts: Any, step: Surroundings) -> Any:
    for number, text in enumerate(texts):
        if number % 16 == 0:
            step.progress(number, len(texts), "documents")
            if step.stop_requested():
                step.stopped()
        yield look(text)


def _own_tokenizer(corpus: Path, settings: ReadinessSettings, step: Surroundings, stop_here: Any) -> Path | None:
    """A small tokenizer of this text; None where there is too little text for the smallest."""
    target, made = step.work / "tokenizer", step.work / "tokenizer.new"
    if not target.is_dir():
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        try:
            own_tokenizer(corpus, made, settings.vocabulary_size, stop_here)
        except UserError:
            return None
        made.rename(target)
    return target


def _no_tokens(own: bool) -> Tokens:
    nothing = Basis(documents=0, bytes=0, all=True)
    return Tokens(
        all=0, different=0, interval=None, basis=nothing, bytes_per_token=0.0, vocabulary_size=0, own_vocabulary=own
    )


def _trained(
    corpus: Path,
    own: Path | None,
    counted: Survey,
    different: float,
    settings: ReadinessSettings,
    step: Surroundings,
) -> tuple[Machine | None, Pilot]:
    from loresmith.data.encoding import Encoder
    from loresmith.models.architecture import Architecture

    pilot = settings.pilot
    shape = pilot.architecture if pilot is not None else Architecture(preset="qwen3-1m")
    vocabulary = Encoder.load(own).vocabulary_size if own is not None else settings.vocabulary_size
    off = PilotSettings(
        shares=(), subsets=1, seeds=1, tokens=0, minutes=0, architecture=shape, vocabulary_size=vocabulary
    )
    if own is None or counted.usable.bytes < LEAST_BYTES:
        return None, no_pilot(off, "there is too little text to train on")
    step.log("measuring how fast this machine trains")
    machine = measure(step.work, step.threads, shape, vocabulary, BATCH_TOKENS, LENGTH)
    if pilot is None:
        return machine, no_pilot(off, "it was switched off")
    pilot = pilot.model_copy(update={"vocabulary_size": vocabulary})
    counts = count_tokens(corpus, own, True, counted.usable.bytes, 1.0, 4 << 20, step.seed, lambda _done: None)
    result = run_pilot(
        corpus,
        own,
        counts.bytes_per_token,
        round(counted.usable.bytes * different),
        machine.pilot_tokens_per_second,
        pilot,
        step,
    )
    return machine, result


def _numbers(
    counted: Survey,
    copies: Duplication,
    tokens: Tokens,
    good: Quality,
    languages: Languages,
    personal: PersonalData,
    overlaps: Contamination,
    pilot: Pilot,
) -> dict[str, float]:
    """What the rules of the verdict are about."""
    whole = max(1, counted.all.bytes)
    findings = {found.kind: found.findings for found in personal.kinds}
    licences, owners = counted.by.get("licence", {}), counted.by.get("owner", {})
    validation = counted.by.get("split", {}).get("validation")
    return {
        "bytes": counted.all.bytes,
        "retrievable_bytes": counted.retrievable.bytes,
        "usable_documents": counted.usable.documents,
        "different_tokens": tokens.different,
        "largest_model": largest_model(tokens.different),
        "secrets": findings.get("secret", 0),
        "personal": sum(findings.values()) - findings.get("secret", 0),
        "no_licence": licences[""].bytes / whole if "" in licences else 0.0,
        "no_owner": owners[""].bytes / whole if "" in owners else 0.0,
        "not_checked": 0 if overlaps.checked else 1,
        "contaminated": overlaps.cases,
        "repeated": copies.repeated,
        "doubtful": good.doubtful,
        "unknown_language": languages.unknown,
        "no_validation": 0 if validation is not None and validation.documents else 1,
        "inconclusive": 1 if pilot.ran and pilot.curve.outcome == "INCONCLUSIVE" else 0,
    }
