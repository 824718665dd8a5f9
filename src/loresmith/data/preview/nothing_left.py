"""What curation decided where it left nothing: there is no corpus then, and a preview is needed most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from loresmith.data.curation.curate import SHARD_BYTES
from loresmith.data.curation.curation_rules import CurationRules
from loresmith.data.curation.decision import Decisions
from loresmith.data.curation.outcome import put_together, write_decisions, write_outcome
from loresmith.data.curation.stages import Part, prepare, signs
from loresmith.data.engine.shards import shards


def outcome_of_nothing(documents: Path, work: Path, rules: CurationRules, corpus: Path) -> Mapping[str, int] | None:
    """Write the books, scores and edits of a curation that ended since no document was left.

    A document is merged only into one that stays: where none does, each was decided upon by itself.

    Args:
        documents: what was curated.
        work: its folder.
        corpus: empty folder; gets what a corpus has, but for documents.

    Returns:
        Findings of privacy, by kind; None where curation did not get so far.
    """
    stage = f"without-{rules.repeated[-1]}s" if rules.repeated else "prepared"
    parts = [
        Part(shard, rules, work / "written" / shard.name, work / stage / shard.name)
        for shard in shards(documents, SHARD_BYTES)
    ]
    if not all(part.folder.is_dir() for part in parts):
        return None
    decisions = Decisions.from_signs((batch for part in parts for batch in signs(part.folder)), rules.minimum_bytes)
    decisions.merge_copies()
    if decisions.kept.any():
        return None
    write_decisions(decisions, lambda _number: ("", ""), work / "decided.arrow")
    put_together([write_outcome(part, work / "decided.arrow") for part in parts], corpus)
    findings: Counter[str] = Counter()
    for part in parts:
        made = Part(part.shard, rules, work / "prepared" / part.shard.name)
        findings.update(prepare(made).findings)  # it is there: what was counted is read
    return findings
