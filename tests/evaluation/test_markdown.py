"""A page stays a page whatever the model wrote."""

from __future__ import annotations

from loresmith.evaluation.intervals import Interval
from loresmith.evaluation.markdown import evaluation_text
from loresmith.evaluation.reports import (
    Baseline,
    EvaluationReport,
    GroupScore,
    SampleFacts,
    SamplesScore,
    SuiteScore,
    Verdict,
)

WILD = "```\n# not a heading | nor a | table\n````\n"


def report() -> EvaluationReport:
    return EvaluationReport(
        model="0" * 64,
        corpus="1" * 64,
        sample=SampleFacts(split="test", documents=3, bytes=999, of_documents=9, of_bytes=4000, digest="2" * 64),
        bits_per_byte=1.2345,
        interval=Interval(low=1.1, high=1.3),
        tokens=300,
        parameters=1_250_000,
        window=256,
        stride=128,
        precision="bfloat16",
        seed=0,
        resamples=1000,
        group_by="directory",
        groups=tuple(
            GroupScore(group=f"a|{n}", documents=1, bytes=9, tokens=3, bits_per_byte=1.0, interval=None)
            for n in range(14)
        ),
        verdicts=(
            Verdict(
                baseline=Baseline(name="xz", title="xz", bits_per_byte=1.5, interval=None, how=""),
                difference=-0.2655,
                interval=Interval(low=-0.4, high=-0.2),
                paired=False,
                verdict="below",
            ),
        ),
        suite=SuiteScore(name=WILD, description="", cases=2, passed=1, interval=None, failed=("c",)),
        samples=SamplesScore(count=1, functions=1, parsed=0),
    )


CASES = [
    {"kind": "case", "name": "c", "passed": False, "scorer": "exact", "expected": WILD, "output": WILD},
    {
        "kind": "sample",
        "name": "f",
        "path": "p.py",
        "prompt": WILD,
        "completion": WILD,
        "reference": WILD,
        "parses": False,
    },
]


def test_what_the_model_wrote_stays_inside_its_fence() -> None:
    outside: list[str] = []
    fence = ""
    for line in evaluation_text(report(), CASES).splitlines():
        ticks = len(line) - len(line.lstrip("`"))
        if fence:
            fence = "" if line == fence else fence
        elif ticks >= 3:
            fence = "`" * ticks
        else:
            outside.append(line)
    assert fence == ""
    assert not any(line.startswith("# not a heading") for line in outside)
    assert [line for line in outside if line.startswith("#")] == [
        "# How good the model is",
        "## Against the baselines",
        "## By directory",
        "## Suite: ''' # not a heading | nor a | table ''''",
        "## In its own words",
        "### `f` in `p.py`",
        "## How it was measured",
    ]


def test_it_says_the_number_the_doubt_and_the_verdict() -> None:
    page = evaluation_text(report(), CASES)
    assert "**1.234 bits per byte**" in page
    assert "95 % interval 1.100 to 1.300" in page
    assert "| xz | 1.500 | 0.266 below | -0.400 to -0.200 | **better** |" in page
    assert "3 of 9 documents of the test split, chosen by hash (999 bytes)" in page
    assert "The 2 smaller ones are in report.json." in page
