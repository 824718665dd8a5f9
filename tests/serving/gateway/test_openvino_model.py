"""A gateway whose model OpenVINO computes: refused, certified by the command, served and asked."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import openai
import pytest
import torch

from loresmith import Workspace
from tests.serving.engines.openvino_export import export_openvino
from tests.serving.engines.served_models import write_tiny
from tests.serving.gateway.gateways import RunningGateway, make_key, write_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("openvino_genai") is None, reason="no openvino-genai: pip install '.[openvino]'"),
]

WINDOW = 512


def loresmith(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "loresmith", *words], cwd=folder, capture_output=True, text=True)


def test_an_export_is_served_once_the_command_has_compared_it(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    with Workspace.init(folder) as workspace:
        asset = workspace.ledger.assets.add("model", write_tiny(tmp_path, "qwen3", torch.bfloat16, WINDOW), {}, ())
        workspace.ledger.releases.promote("acme", asset.digest, "production", "for the tests")
        directory = workspace.ledger.assets.directory(asset.digest)
    export_openvino(directory, folder / "ir", int8=True)
    model = {"release": "acme", "engine": "openvino", "precision": "int8", "exported": {"directory": "ir"}}
    sizes = {"window": WINDOW, "slots": 4, "threads": 1}
    config = write_config(folder, {"models": {"acme": {**model, **sizes}}, "standby": False})
    key = make_key(folder)

    refused = loresmith(tmp_path, "serve", str(config), "--workspace", str(folder), "--port", "0")
    assert refused.returncode == 2
    assert "nobody has compared acme@production on the engine openvino at int8" in refused.stderr

    # The paths of a configuration are relative to it, those of the command to where it is given.
    options = ("--engine", "openvino", "--precision", "int8", "--set", "directory=ir", "--window", str(WINDOW))
    done = loresmith(folder, "models", "certify", "acme", *options, "--json")
    assert done.returncode == 0, done.stderr
    (receipt,) = json.loads(done.stdout)["receipts"]
    assert (receipt["passed"], receipt["evidence"]["engine"]) == (True, "openvino")

    with RunningGateway(folder, config) as gateway:
        client = gateway.openai(key)
        asked: dict[str, Any] = {"model": "acme", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 12}
        answer = client.chat.completions.create(**asked, temperature=0)
        assert answer.system_fingerprint.startswith(asset.digest[:16])
        assert 0 < answer.usage.completion_tokens <= 12
        streamed = client.chat.completions.create(**asked, temperature=0, stream=True)
        said = "".join(piece.choices[0].delta.content or "" for piece in streamed if piece.choices)
        assert said == answer.choices[0].message.content
        with pytest.raises(openai.BadRequestError, match="biases"):  # which it cannot do, as it says
            client.chat.completions.create(**asked, logit_bias={"5": 1})

    (folder / "ir" / "openvino_model.xml").write_text("another one")
    changed = loresmith(tmp_path, "serve", str(config), "--workspace", str(folder), "--port", "0")
    assert changed.returncode == 2
    assert "it is about another export of the model" in changed.stderr
