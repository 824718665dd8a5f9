"""What a serving configuration says of access is read with its lines."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from loresmith.errors import UserError
from loresmith.serving.access import AccessSettings, read_access
from loresmith.serving.settings import ServingConfig

GOOD = """\
listen: {port: 8000}
groups:
  physicians: {members: [user:ada], labels: [clinical]}
policy:
  administrators: [physicians]
quotas:
  groups:
    physicians: {concurrent: 3}
identity:
  tokens:
    - issuer: https://login.example.org/
      audiences: [gateway]
      keys: keys.json
      groups: {doctors: physicians}
"""


def read(tmp_path: Path, text: str) -> str:
    (tmp_path / "serve.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        read_access(tmp_path / "serve.yaml")
    return str(refused.value).removeprefix(f"{tmp_path}/")


def test_a_sound_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "serve.yaml").write_text(GOOD)
    access = read_access(tmp_path / "serve.yaml")
    assert access.groups.principal("user:ada", (), "key").labels == {"clinical"}
    assert access.folder == tmp_path


def test_all_that_a_serving_configuration_may_have_is_known(tmp_path: Path) -> None:
    """Whatever is added to it one day."""
    written = {"models": {"acme": {"release": "acme"}}, "standby": False, "limits": {"depth": 8}}
    for key in ServingConfig.model_fields:
        (tmp_path / "serve.yaml").write_text(yaml.safe_dump({key: written.get(key, {})}))
        read_access(tmp_path / "serve.yaml")
    assert AccessSettings.model_fields.keys() <= ServingConfig.model_fields.keys()


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("quotas:", "quota:", "serve.yaml:6: unknown key 'quota'; did you mean 'quotas'?"),
        ("labels:", "label:", "serve.yaml:3: unknown key 'label' in groups.physicians; did you mean 'labels'?"),
        ("concurrent", "concurent", "serve.yaml:8: unknown key 'concurent' in quotas.groups.physicians"),
        ("administrators: [physicians]", "administrators: [physician]", "serve.yaml:5: unknown group 'physician'"),
        ("    physicians: {con", "    surgeons: {con", "serve.yaml:8: unknown group 'surgeons'"),
        ("doctors: physicians", "doctors: physican", "serve.yaml:14: unknown group 'physican'"),
        ("user:ada", "user:*", "serve.yaml:3: "),
        ("user:ada", "ada", "serve.yaml:3: "),
        ("[gateway]", "[]", "serve.yaml:12: "),
    ],
)
def test_a_mistake_has_its_line(tmp_path: Path, good: str, bad: str, said: str) -> None:
    assert good in GOOD
    assert read(tmp_path, GOOD.replace(good, bad, 1)).startswith(said)


def test_what_is_no_configuration_is_refused(tmp_path: Path) -> None:
    assert "a mapping" in read(tmp_path, "- a\n")
