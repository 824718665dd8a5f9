"""One gateway with callers, labels and adapters of every kind; it has no guards and no documents."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from loresmith import Workspace
from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapter_storage import save_adapter
from loresmith.models.adapters import add_adapter
from loresmith.models.storage import load_model
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.settings import GroupSettings
from loresmith.serving.policy.matrix import UNHELD, callers
from tests.models.adapted_models import learnt
from tests.serving.gateway.gateways import RunningGateway, add_release, certify_unseen, write_config
from tests.serving.identity.test_tokens import ISSUER, KEYS

GROUPS: dict[str, dict[str, Any]] = {
    "physicians": {"labels": ["clinical"], "tenant": "ward", "members": ["user:lee"]},
    "engineers": {"labels": ["export"]},
    "admins": {},
    "hurried": {},
}
LABEL_SETS: dict[str, tuple[str, ...]] = {
    "open": (),
    "clinical": ("clinical",),
    "export": ("export",),
    "both": ("clinical", "export"),
    "nobodys": (UNHELD,),
}
"""The labels of adapters by the adapters' names; the same sets as those of `policy.matrix`."""

MODELS: dict[str, tuple[str, ...]] = {"acme": (), "ward": ("clinical",)}
"""The labels of the models by their names; each has the adapters above."""

LIMITS = {"request_bytes": 65_536, "depth": 16, "body_seconds": 4, "head_seconds": 4}


@dataclass(frozen=True)
class House:
    """A gateway at work.

    Attributes:
        keys: the secret of a key for each of `policy.matrix.callers`, by the caller's id, and for `user:ada`, who is in
            no group.
    """

    gateway: RunningGateway
    workspace: Path
    config: Path
    keys: dict[str, str]

    def openai(self, who: str = "user:ada") -> Any:
        return self.gateway.openai(self.keys[who])

    def client(self, who: str | None = "user:ada", **more: Any) -> Any:
        return self.gateway.client(None if who is None else self.keys[who], **more)


def declared() -> Groups:
    return Groups.from_settings({name: GroupSettings.model_validate(group) for name, group in GROUPS.items()})


def open_house(folder: Path) -> House:
    """Start it; whoever asked for it ends it by `gateway`."""
    workspace = folder / "workspace"
    models: dict[str, Any] = {}
    with Workspace.init(workspace) as opened:
        for name, labels in MODELS.items():
            digest = add_release(opened, workspace, labels, name)
            adapters = add_adapters(opened, folder / f"adapters-{name}", digest)
            models[name] = {"release": name, "window": 2048, "slots": 8, "threads": 1, "adapters": adapters}
    everybody = {caller.id: caller.groups for caller in callers(declared())}
    hurried = everybody.pop("user:of-all")
    everybody["user:of-all"] = tuple(name for name in hurried if name != "hurried")
    keys = make_keys(workspace, {**everybody, "user:ada": (), "user:hurry": ("hurried",)})
    (folder / "keys.json").write_text(json.dumps({"keys": KEYS}))
    config = write_config(
        folder,
        {
            "models": models,
            "limits": LIMITS,
            "groups": GROUPS,
            "identity": {"tokens": [{"issuer": ISSUER, "audiences": ["gateway"], "keys": "keys.json"}]},
            "policy": {"administrators": ["admins"]},
            "quotas": {"callers": {"user:hurry": {"requests_per_minute": 2, "request_burst": 1}}},
        },
    )
    return House(RunningGateway(workspace, config), workspace, config, keys)


def add_adapters(workspace: Workspace, folder: Path, digest: str) -> dict[str, str]:
    """An adapter of that model, with its receipt, for each of LABEL_SETS; their digests by name."""
    base, _ = load_model(workspace.ledger.assets.directory(digest), torch.float32)
    add_adapter(base, AdapterSettings(rank=2, alpha=4), seed=3)
    save_adapter(learnt(base, 0.3), folder, digest)
    made = {
        name: workspace.ledger.assets.add("adapter", folder, {"test": f"{digest}-{name}"}, labels).digest
        for name, labels in LABEL_SETS.items()
    }
    for adapter in made.values():
        certify_unseen(workspace, adapter, base=digest)
    return made


def make_keys(workspace: Path, wanted: dict[str, Sequence[str]]) -> dict[str, str]:
    """A key's secret for each of the callers, which brings these groups."""
    from loresmith.sdk.calls.keys import CREATE

    with Workspace.open(workspace) as opened:
        return {
            who: CREATE.run(
                opened, CREATE.request(principal=who, group=tuple(groups), because="for the tests"), lambda _: None
            ).secret
            for who, groups in wanted.items()
        }


def chat(model: str = "acme", text: str = "Hi", **more: Any) -> dict[str, Any]:
    """The body of a short chat."""
    return {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 4, "seed": 1, **more}


def raw(gateway: RunningGateway, sent: bytes | Iterable[bytes], seconds: float = 5) -> bytes:
    """What comes back over one connection until it is closed, or nothing has come for so long."""
    host, _, port = gateway.address.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        for piece in [sent] if isinstance(sent, bytes) else sent:
            try:
                connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
        answer = b""
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def head_of(house: House, *more: str, method: str = "POST", path: str = "/v1/chat/completions") -> bytes:
    """The head of a good request of Ada's, as it stands on the line."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {house.keys['user:ada']}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def work_of(house: House, who: str = "user:of-admins") -> float:
    """How many requests are being answered now."""
    with house.client(who) as client:
        lines = client.get("/metrics").raise_for_status().text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("loresmith_requests_at_work{"))


def wait_until(what: Any, seconds: float = 60, pause: float = 0.05) -> float:
    """Wait until something is so; returns after how many seconds it was."""
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < seconds, "it did not come about"
        time.sleep(pause)
    return time.monotonic() - begun
