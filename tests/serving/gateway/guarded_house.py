"""One gateway with guards of every action. What its model says is prescribed by the requests (`guided_regex`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loresmith import Workspace
from tests.serving.gateway.gateways import RunningGateway, add_release, make_key, write_config

REFUSED, STATED = "pangolin", "Pangolins are not spoken of."
ASKED, A_PERSON = "walrus", "A person looks at this first."
ROUTED = "narwhal"
MAIL = "ada.lovelace@example.com"


@dataclass(frozen=True)
class Guarded:
    """A gateway at work; Ada is in no group, Grace administers it."""

    gateway: RunningGateway
    workspace: Path
    ada: str
    config: Path
    grace: str

    def openai(self) -> Any:
        return self.gateway.openai(self.ada)

    def client(self, **more: Any) -> Any:
        return self.gateway.client(self.ada, **more)


def open_guarded(folder: Path) -> Guarded:
    """Start it; whoever asked for it ends it by `gateway`."""
    workspace = folder / "workspace"
    model = {"window": 2048, "slots": 4, "threads": 1}
    with Workspace.init(workspace) as opened:
        add_release(opened, workspace)
        add_release(opened, workspace, (), "other", "llama")
    deny = {"kind": "deny", "on": ["input", "tool", "output"]}
    config = write_config(
        folder,
        {
            "groups": {"admins": {"members": ["user:grace"]}},
            "policy": {"administrators": ["admins"]},
            "models": {"acme": {"release": "acme", **model}, "other": {"release": "other", **model}},
            "guards": [
                {"kind": "privacy", "finds": ["email"]},
                {**deny, "name": "refusing", "phrases": [REFUSED], "message": STATED},
                {**deny, "name": "asking", "phrases": [ASKED], "action": "ask", "message": A_PERSON},
                {**deny, "name": "routing", "phrases": [ROUTED], "action": "route", "route": "other"},
            ],
        },
    )
    ada, grace = make_key(workspace), make_key(workspace, "user:grace")
    return Guarded(RunningGateway(workspace, config), workspace, ada, config, grace)


def saying(text: str, **more: Any) -> dict[str, Any]:
    """The fields of a request whose answer is this text."""
    return {"guided_regex": re.escape(text).replace("\\ ", " "), "max_tokens": 300, "seed": 1, **more}
