"""A sample that was curated, as a preview: what each rule did, what it would decide, and examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loresmith.data.curation.curation_rules import CurationRules
from loresmith.data.preview.catalogue import BYTES, Rule, catalogue, edit_rule
from loresmith.data.preview.decided import Seen, outcomes, read_decided
from loresmith.data.preview.examples import edits, found, whole_documents
from loresmith.data.preview.previewed import Example, Outcome, Preview, PreviewedRule, ScoreSpread, Spread
from loresmith.data.preview.spread import spread_of
from loresmith.data.preview.veil import Veil

DISPOSITIONS = ("kept", "dropped", "quarantined", "merged")


def preview_of(
    sample: Path, corpus: Path, rules: CurationRules, findings: Mapping[str, int], examples: int, *, whole: bool
) -> Preview:
    """What curation did to a sample.

    Args:
        sample: the documents that were curated.
        corpus: what came of it.
        rules: by which it was curated.
        findings: of privacy, by kind, in all documents.
        examples: of each rule, at most.
        whole: whether the sample is all that there is, so that nothing is only a lower bound.
    """
    documents = read_decided(sample, corpus)
    survey = _Survey(documents, rules, findings, examples, whole)
    ended = outcomes(documents)
    return Preview(
        documents=len(documents),
        bytes=survey.bytes,
        outcomes=tuple(
            Outcome(disposition=name, documents=count, bytes=size)
            for name, (count, size) in ((name, ended.get(name, (0, 0))) for name in DISPOSITIONS)
        ),
        profiles=dict(sorted(Counter(seen.said["profile"] for seen in documents if not seen.media).items())),
        rules=tuple(survey.rules()),
        scores=tuple(
            ScoreSpread(profile=profile, score=score, spread=spread)
            for (profile, score), spread in sorted(survey.spreads.items())
        ),
    )


class _Survey:
    def __init__(
        self,
        documents: Sequence[Seen],
        rules: CurationRules,
        findings: Mapping[str, int],
        examples: int,
        whole: bool,
    ) -> None:
        self._documents = documents
        self._rules = rules
        self._findings = findings
        self._examples = examples
        self._whole = whole
        self._veil = Veil(rules.privacy)
        self._paths = {seen.said["id"]: seen.said["path"] for seen in documents}
        self._edits: defaultdict[str, list[tuple[Seen, Mapping[str, Any]]]] = defaultdict(list)
        values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for seen in documents:
            for edit in seen.edits if seen.kept else ():  # of a document that goes, nothing is left to be edited
                self._edits[edit_rule(edit["rule"])].append((seen, edit))
            for score, value in seen.scores.items():
                values["" if score == BYTES else seen.said["profile"], score].append(value)
        self.bytes = sum(seen.bytes for seen in documents)
        self.spreads: dict[tuple[str, str], Spread] = {
            key: spread for key, numbers in values.items() if (spread := spread_of(numbers)) is not None
        }

    def rules(self) -> Iterable[PreviewedRule]:
        known = list(catalogue(self._rules))
        for rule in [*known, *self._others(known)]:
            if rule.sort == "edit" or (rule.sort == "privacy" and rule.consequence != "drop"):
                yield self._of_edits(rule)
            else:
                yield self._of_documents(rule)

    def _others(self, known: Sequence[Rule]) -> Iterable[Rule]:
        """Rules that did something and that the catalogue does not have: nothing vanishes."""
        for seen in self._documents:
            reason, detail = seen.said["reason"], seen.said["detail"]
            if reason and not any(rule.decides(reason, detail) for rule in known):
                known = [*known, Rule(reason, "other", seen.said["disposition"], detail)]
                yield known[-1]
        for name in self._edits:
            if name not in {rule.name for rule in known}:
                yield Rule(name, "edit", "edit", "")

    def _of_documents(self, rule: Rule) -> PreviewedRule:
        decided = [seen for seen in self._documents if rule.decides(seen.said["reason"], seen.said["detail"])]
        met = [seen for seen in self._documents if rule.met(seen.said)] if rule.profile else decided
        if rule.consequence == "keep together":
            met = decided = [seen for seen in self._documents if seen.said["near"] and seen.kept]
        return self._said(
            rule,
            met,
            bytes_=sum(seen.bytes for seen in decided),
            decides=len(decided),
            examples=whole_documents(met, self._examples, self._veil, self._paths, _score_of(rule), rule.bound),
        )

    def _of_edits(self, rule: Rule) -> PreviewedRule:
        made = self._edits[rule.name]
        touched = list({id(seen): seen for seen, _ in made}.values())
        private = rule.sort == "privacy"
        if rule.consequence == "detect":
            kind = rule.name.removeprefix("privacy: ")
            count = self._findings.get(kind, 0)
            shown = tuple(found(self._documents, kind, self._examples if count else 0, self._veil))
            return self._said(rule, [], edits=count, examples=shown)
        return self._said(
            rule,
            touched,
            bytes_=sum(edit["before_bytes"] for _, edit in made),
            edits=len(made),
            examples=edits(made, self._examples, self._veil, private=private),
        )

    def _said(
        self,
        rule: Rule,
        met: Sequence[Seen],
        bytes_: int = 0,
        decides: int = 0,
        edits: int = 0,
        examples: tuple[Example, ...] = (),
    ) -> PreviewedRule:
        return PreviewedRule(
            name=rule.name,
            sort=rule.sort,
            profile=rule.profile,
            consequence=rule.consequence,
            because=rule.because,
            documents=len(met),
            decides=decides,
            edits=edits,
            bytes=bytes_,
            share=bytes_ / self.bytes if self.bytes else 0.0,
            at_least=rule.compares and not self._whole,
            minimum=rule.bound.minimum if rule.bound else None,
            maximum=rule.bound.maximum if rule.bound else None,
            spread=self.spreads.get((rule.profile, rule.bound.score)) if rule.bound else None,
            examples=examples,
        )


def _score_of(rule: Rule) -> Callable[[Seen], float] | None:
    if rule.bound is None:
        return None
    name = rule.bound.score
    return lambda seen: seen.scores[name]
