"""Where a gateway can be reached: from this machine alone, unless somebody says otherwise and how."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from loresmith import Workspace
from loresmith.errors import UserError
from loresmith.sdk.calls.serve import SERVE
from loresmith.serving.settings import ListenSettings, read_config
from tests.serving.gateway.house import House

EVERYWHERE = ("0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0", "", "0", "10.20.3.4", "gateway.example", "::ffff:0.0.0.0")
HERE = ("127.0.0.1", "127.8.8.8", "::1", "localhost")

MODELS = "models: {acme: {release: acme}}\n"


def test_other_machines_are_let_in_only_with_tls_or_when_told(tmp_path: Path) -> None:
    assert ListenSettings().host == "127.0.0.1"
    for host in HERE:
        assert ListenSettings(host=host).host == host
    for host in EVERYWHERE:
        with pytest.raises(ValidationError, match="lets other machines in"):
            ListenSettings(host=host)
        assert ListenSettings(host=host, plain=True).host == host
        assert ListenSettings(host=host, certificate=Path("a.pem"), key=Path("a.key")).host == host
    (tmp_path / "serve.yaml").write_text(f'{MODELS}listen:\n  host: "::"\n')
    with pytest.raises(
        UserError, match=":: lets other machines in: give certificate and key, or say `plain: true`"
    ) as said:
        read_config(tmp_path / "serve.yaml")
    assert (said.value.where or "").endswith("serve.yaml:2")


def test_the_command_line_is_no_way_around_it(tmp_path: Path) -> None:
    """`--host`, with a configuration and with a release alone."""
    (tmp_path / "serve.yaml").write_text(MODELS)
    with Workspace.init(tmp_path / "workspace") as opened:
        for what in (str(tmp_path / "serve.yaml"), "acme"):
            for host in ("0.0.0.0", "::"):
                with pytest.raises(UserError, match="lets other machines in") as said:
                    SERVE.run(opened, SERVE.request(what=what, host=host, port=0), lambda _: None)
                assert said.value.where == "--host"


def test_a_gateway_listens_at_loopback(house: House) -> None:
    """As the machine itself lists its sockets: at its port, and nowhere but at 127.0.0.1."""
    port = int(house.gateway.address.rpartition(":")[2])
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, its_port = local.partition(":")
            if state == "0A" and int(its_port, 16) == port:
                listening.append(address)
    assert listening == ["0100007F"]
