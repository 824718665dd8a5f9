"""The endpoint against its peers, on this machine, in one run.

    python benchmarks/serve.py --model DIR [--only NAMES] [--rounds 3] [--openvino DIR] [--litellm PYTHON] [--json]

DIR is a model's directory: SmolLM2-135M for the figures in docs/performance.md. Contestants take turns, and medians are
compared. Needs the extra `test`, and an idle machine.

| name     | what is compared                                                                                       |
|----------|--------------------------------------------------------------------------------------------------------|
| engines  | output tokens/s at 1, 8 and 32 requests at once, 200 + 64 tokens: our engines, transformers' `generate` |
| overhead | milliseconds that the gateway adds to an engine that answers at once, at 200 requests/s                 |
| litellm  | requests a second and core: the gateway, and the LiteLLM proxy (see benchmarks/serving/litellm_proxy.py) |
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

NAMES = ("engines", "overhead", "litellm")


def engines(given: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.serving.engines import compare

    others: dict[str, Any] = {}
    if given.openvino is not None:
        from benchmarks.serving.engines import openvino_engine

        others["openvino"] = openvino_engine(given.openvino, given.model, given.threads)
    found = compare(given.model, others, given.threads, given.rounds)
    ratios = {f"{name}_vs_generate": values for name, values in found["times_generate"].items()}
    return {**ratios, "output_tok_s": found["output_tok_s"]}


def overhead(given: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.serving.overhead import measure

    return measure(given.seconds, given.rounds)


def litellm(given: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.serving.litellm_proxy import compare

    return compare(given.litellm, given.seconds, given.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model's directory; `engines` needs it")
    parser.add_argument("--only", help=f"some of {', '.join(NAMES)}, with commas")
    parser.add_argument("--rounds", type=int, default=3, help="of each contestant, after one that does not count")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each round of requests")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the engines")
    parser.add_argument("--openvino", type=Path, help="the model as OpenVINO has it, to compare that engine too")
    parser.add_argument("--litellm", type=Path, help="the Python of an environment with litellm[proxy]")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else NAMES
    if unknown := set(wanted) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if "engines" in wanted and given.model is None:
        parser.error("`engines` needs --model DIR")
    found: dict[str, Any] = {}
    for name in wanted:
        if name == "litellm" and given.litellm is None:
            print("litellm: left out, since --litellm names no environment", file=sys.stderr)
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        found |= {"engines": engines, "overhead": overhead, "litellm": litellm}[name](given)
    for key, value in found.items():
        print(f"{key:28} {_shown(value)}")
    if given.json:
        print(json.dumps(found))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return " / ".join(f"{one:.2f}" for one in value)
    return f"{value:.2f}"


if __name__ == "__main__":
    main()
