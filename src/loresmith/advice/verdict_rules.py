"""The rules of a verdict, as data: what each level asks for, and what has to be settled, each with where it comes from.

A level is reached when all its requirements, and those of the levels below it, are met. Concerns do not change the
level: they are what has to be settled before a training (`must`), or what would make it better (`should`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["nothing", "retrieval only", "fine-tuning", "continued pre-training", "pre-training from scratch"]
LEVELS: tuple[Level, ...] = (
    *("nothing", "retrieval only", "fine-tuning"),
    *("continued pre-training", "pre-training from scratch"),
)
"""From the least to the most; each holds those before it."""

JUDGEMENT = "our judgement"


@dataclass(frozen=True)
class Requirement:
    """What a level asks for.

    Attributes:
        measure: a key of the numbers that are judged.
        minimum: what it has to be at least; None: `scratch_tokens`, which follows from the size that is wanted.
        unit: `tokens`, `bytes` or `documents`.
    """

    level: Level
    measure: str
    minimum: float | None
    unit: str
    because: str
    source: str


REQUIREMENTS = (
    Requirement(
        "retrieval only",
        "retrievable_bytes",
        1_000,
        "bytes",
        "A search needs at least a page of text that may be retrieved.",
        JUDGEMENT,
    ),
    Requirement(
        "fine-tuning",
        "different_tokens",
        750_000,
        "tokens",
        "A thousand good examples, 750,000 tokens, taught a base model to answer; here they still have to be written, "
        "from at least as much text.",
        "Zhou et al., LIMA: Less Is More for Alignment, 2023, section 2",
    ),
    Requirement(
        "fine-tuning",
        "usable_documents",
        50,
        "documents",
        "Examples from a handful of documents are all alike.",
        JUDGEMENT,
    ),
    Requirement(
        "continued pre-training",
        "different_tokens",
        10_000_000,
        "tokens",
        "Going on with a base model's own training helps from task corpora of this order on; billions are better.",
        f"{JUDGEMENT}, between the task corpora (under 20 M tokens) and the domain corpora (2 to 8 G) of Gururangan et "
        "al., Don't Stop Pretraining, 2020, table 1",
    ),
    Requirement(
        "pre-training from scratch",
        "different_tokens",
        None,
        "tokens",
        "A new model of the size that is wanted has to see 20 tokens a parameter, in four times the text at most.",
        "Hoffmann et al. 2022, table 3; Muennighoff et al. 2023, section 5; the size is the step's scratch_parameters",
    ),
)


@dataclass(frozen=True)
class Concern:
    """What may have to be settled, as data.

    Attributes:
        measure: a key of the numbers.
        beyond: it is raised when the measure is more than this.
        said: a sentence, with the measure in `{value}`.
        shown: how the value is written: `count` or `percent`.
    """

    weight: Literal["must", "should"]
    measure: str
    beyond: float
    shown: Literal["count", "percent"]
    said: str
    do: str
    source: str = JUDGEMENT


CONCERNS = (
    Concern(
        "must",
        "secrets",
        0,
        "count",
        "Passwords, keys or tokens were found in the text that was looked at: {value}.",
        "Withdraw them where they are in use, and curate again with `privacy: {{secret: drop}}`.",
        "Carlini et al., Extracting Training Data from Large Language Models, 2021: they repeat what they saw",
    ),
    Concern(
        "must",
        "personal",
        0,
        "count",
        "Names, e-mail addresses, telephone numbers and the like were found in the text that was looked at: {value}.",
        "Decide for each kind: curate again with `privacy: {{all: mask}}` or `pseudonymise`, or put down why it stays.",
        "Carlini et al., Extracting Training Data from Large Language Models, 2021",
    ),
    Concern(
        "must",
        "no_licence",
        0,
        "percent",
        "{value} of the text has no licence on record.",
        "Say under what licence it is: `licence:` of the step that read it.",
    ),
    Concern(
        "should",
        "no_owner",
        0,
        "percent",
        "{value} of the text has no owner on record: nobody can be asked about it.",
        "Name one: `owner:` of the step that read it.",
    ),
    Concern(
        "should",
        "not_checked",
        0,
        "count",
        "It is not known whether the text holds what models are evaluated on.",
        "Register the evaluation suites (`ingest-suite`): the text is then compared with them.",
    ),
    Concern(
        "must",
        "contaminated",
        0,
        "count",
        "The text holds cases of evaluation suites: {value}. A model that has seen them looks better than it is.",
        "Cut them out: the step `decontaminate`.",
    ),
    Concern(
        "should",
        "repeated",
        0.1,
        "percent",
        "{value} of the text that may be learnt from is there more than once.",
        "Curate again with `drop_near_duplicates: true` and `drop_repeated: [paragraph]`.",
        "Lee et al., Deduplicating Training Data Makes Language Models Better, 2022",
    ),
    Concern(
        "should",
        "doubtful",
        0.05,
        "percent",
        "{value} of the text is such that curation would drop it or have it looked at.",
        "Look at these documents: `loresmith data show`, and the table of broken bounds.",
    ),
    Concern(
        "should",
        "unknown_language",
        0.2,
        "percent",
        "The language of {value} of the text cannot be told: tables, lists of numbers, or text that was read wrongly.",
        "Look at some of it.",
    ),
    Concern(
        "should",
        "no_validation",
        0,
        "count",
        "No documents are held out to watch a training.",
        "Curate again with a `validation_share` above 0.",
    ),
    Concern(
        "should",
        "inconclusive",
        0,
        "count",
        "The learning curve is INCONCLUSIVE: it does not say what more text would give.",
        "Run the pilot with more tokens (`pilot_tokens`), or on more text.",
    ),
)
