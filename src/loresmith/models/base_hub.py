"""Downloading a model from the Hugging Face Hub: the one place of Loresmith that reaches for a network.

It happens in a process of its own, since Hugging Face's libraries decide when they are imported whether they are
offline: here and in every other process they stay so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loresmith.errors import Failure, UserError

PATTERNS = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "LICENSE*", "LICENCE*", "NOTICE*", "README.md")
"""What is fetched of a model: never pickled weights, and never code."""


@dataclass(frozen=True)
class HubModel:
    """What was downloaded, and of which commit."""

    name: str
    commit: str


def download(name: str, revision: str, target: Path) -> HubModel:
    """Fetch a model into an empty folder.

    A proxy, a mirror (HF_ENDPOINT) and a token (HF_TOKEN) are taken from the environment.

    Raises:
        UserError: the hub has no such model or revision, or does not let us have it.
        Failure: it could not be reached, or broke off.
    """
    kept = {key: value for key, value in os.environ.items() if key != "TRANSFORMERS_OFFLINE"}
    quiet = {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "loresmith.models.base_hub", name, revision, str(target)],
        env={**kept, **quiet, "DO_NOT_TRACK": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise Failure(f"the download of {name} ended with status {done.returncode}: {last}")
    answer: dict[str, Any] = json.loads(lines[-1])
    if "commit" in answer:
        return HubModel(name, answer["commit"])
    kind = UserError if answer["refused"] else Failure
    raise kind(f"{name} at {revision!r} could not be had from the hub: {answer['what']}", hint=answer["hint"])


def _answer(name: str, revision: str, target: str) -> dict[str, Any]:
    """What the process says: the commit, or why not."""
    import httpx2
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        commit = HfApi().model_info(name, revision=revision).sha
        if commit is None:
            return _refusal("it names no commit", refused=False)
        snapshot_download(name, revision=commit, local_dir=target, allow_patterns=list(PATTERNS))
    except HFValidationError as error:
        return _refusal(str(error), refused=True, hint="a name is of the form organisation/name")
    except GatedRepoError:
        return _refusal("it is given to those only who agreed to its terms", refused=True, hint="set HF_TOKEN")
    except RevisionNotFoundError:
        return _refusal("there is no such revision", refused=True)
    except RepositoryNotFoundError:
        return _refusal("there is no such model, or it is private", refused=True, hint="look at the spelling")
    except (OSError, httpx2.HTTPError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        return _refusal(said[0], refused=False, hint="is there a network, and a proxy that it needs?")
    return {"commit": commit}


def _refusal(what: str, *, refused: bool, hint: str | None = None) -> dict[str, Any]:
    return {"what": what, "refused": refused, "hint": hint}


if __name__ == "__main__":
    print(json.dumps(_answer(*sys.argv[1:4])), flush=True)
