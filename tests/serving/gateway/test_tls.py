"""A gateway with a certificate."""

from __future__ import annotations

import shutil
import socket
import ssl
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.serving.engines.test_remote_engine import write_certificate
from tests.serving.gateway.gateways import RunningGateway, make_key, make_workspace, write_config
from tests.serving.gateway.house import chat


@pytest.mark.slow
def test_with_a_certificate_nothing_is_said_in_the_clear(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    make_workspace(workspace)
    key = make_key(workspace)
    beside = tmp_path / "configuration"  # whose folder is what its relative paths start from
    beside.mkdir()
    certificate = write_certificate(beside / "chain.pem")
    shutil.copy(certificate, beside / "private.pem")
    model = {"release": "acme", "window": 256, "slots": 2, "threads": 1}
    listen = {"certificate": "chain.pem", "key": "private.pem"}
    with RunningGateway(workspace, write_config(beside, {"models": {"acme": model}, "listen": listen})) as gateway:
        scheme, _, rest = gateway.address.partition("://")
        port = int(rest.rpartition(":")[2])
        assert scheme == "https"
        headers = {"authorization": f"Bearer {key}"}
        trusting = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=f"https://localhost:{port}", verify=trusting, headers=headers, timeout=60) as client:
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200
        with (
            httpx.Client(base_url=f"https://localhost:{port}", headers=headers) as stranger,
            pytest.raises(httpx.ConnectError),
        ):
            stranger.get("/health")  # nobody vouches for it: the key is not sent
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                said = connection.recv(1000)
            except ConnectionResetError:
                said = b""
        assert b"HTTP" not in said
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(str(certificate))
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("localhost", port), timeout=5) as connection, pytest.raises(ssl.SSLError):
            old.wrap_socket(connection, server_hostname="localhost")
