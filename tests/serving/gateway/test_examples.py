"""What docs/serving.md shows, and the example, at a real gateway."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from loresmith.serving.settings import read_config
from tests.serving.gateway.faces import Face

HOME = Path(__file__).parents[3]
SHOWN = re.compile(r"^<!-- tried with a gateway -->\n```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_does_what_it_shows(face: Face) -> None:
    blocks = SHOWN.findall((HOME / "docs" / "serving.md").read_text(encoding="utf-8"))
    assert [kind for kind, _ in blocks] == ["sh", "sh", "python"]
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {**os.environ, "PATH": programs, "GATEWAY": face.gateway.address, "LORESMITH_API_KEY": face.ada}
    for kind, text in blocks:
        words = ["bash", "-ec", text] if kind == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(words, env=given, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        assert done.stdout.strip()
        assert '"error"' not in done.stdout


def test_the_example_needs_nothing_but_the_official_client(face: Face) -> None:
    script = HOME / "examples" / "serving" / "app.py"
    assert "loresmith" not in re.findall(r"^(?:import|from) (\w+)", script.read_text(encoding="utf-8"), re.MULTILINE)
    given = {**os.environ, "OPENAI_BASE_URL": f"{face.gateway.address}/v1", "OPENAI_API_KEY": face.bob}
    words = [sys.executable, str(script), "Where is the filter of the pump?"]
    done = subprocess.run(words, env=given, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[1] pump.md"
    given["OPENAI_API_KEY"] = "ls-none-none"
    refused = subprocess.run(words, env=given, capture_output=True, text=True, check=False, timeout=60)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("401: ")


def test_the_example_s_configuration_can_be_read() -> None:
    assert set(read_config(HOME / "examples" / "serving" / "serve.yaml").models) == {"assistant"}
