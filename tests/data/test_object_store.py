"""Files are read from an object store that speaks S3, by the driver that the extra `s3` brings."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from loresmith.data.steps import INGEST
from loresmith.errors import LoresmithError
from tests.data.tables import rows
from tests.step_context import run_step

s3fs = pytest.importorskip("s3fs", reason="there is no s3fs: pip install '.[s3]'")

pytestmark = pytest.mark.slow  # the driver is installed for those

PAGE = 2
"""Objects of one answer to a listing; a store has its own limit, and says where to go on."""


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as reading takes: listings in pages, and objects whole or by range. Only who signs is answered."""

    objects: ClassVar[dict[str, bytes]]
    read: ClassVar[list[str]]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        bucket, _, key = unquote(place.path).lstrip("/").partition("/")
        if bucket != "company" or "Credential=reader/" not in self.headers.get("Authorization", ""):
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        elif key:
            self._object(key)
        else:
            self._listing({name: values[0] for name, values in parse_qs(place.query).items()})

    do_HEAD = do_GET

    def _object(self, key: str) -> None:
        data = self.objects.get(key)
        if data is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        headers = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}
        status, asked = 200, self.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            end = min(int(last or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{end}/{len(data)}"
            status, data = 206, data[int(first) : end + 1]
        if self.command == "GET":
            self.read.append(key)
        self._answer(status, data, headers)

    def _listing(self, asked: dict[str, str]) -> None:
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        keys = sorted(key for key in self.objects if key.startswith(prefix))
        below = {key for key in keys if delimiter and delimiter in key[len(prefix) :]}
        folders = sorted({prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter for key in below})
        keys = [key for key in keys if key not in below]
        begin = int(asked.get("continuation-token", 0))
        page = keys[begin : begin + PAGE]
        more = begin + PAGE < len(keys)
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[key])}</Size>"
            f"<LastModified>2026-11-02T10:00:00.000Z</LastModified>"
            f"<ETag>&quot;{hashlib.md5(self.objects[key]).hexdigest()}&quot;</ETag></Contents>"
            for key in page
        ) + "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders)
        token = f"<NextContinuationToken>{begin + PAGE}</NextContinuationToken>" if more else ""
        text = (
            f"<ListBucketResult><Name>company</Name><KeyCount>{len(page)}</KeyCount>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{found}</ListBucketResult>"
        )
        self._answer(200, text.encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Bucket]]:
    class Own(Bucket):
        objects: ClassVar = {
            "manuals/pump.md": b"# Pump\n\nThe seal is worn after two years.\n",
            "manuals/deep/valve.txt": "Über das Ventil.\n".encode(),
            "manuals/deep/motor.txt": b"The motor turns left.\n",
            "manuals/a b&c.txt": b"A name with a blank.\n",
            "manuals/broken.pdf": b"%PDF-1.7 nothing else",
            "secret/other.txt": b"Not of this recipe.\n",
        }
        read: ClassVar = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        yield Own
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_objects_below_a_prefix_are_read_once_and_in_order(bucket: type[Bucket], tmp_path: Path) -> None:
    first = run_step(INGEST, tmp_path / "first", {"path": "s3://company/manuals"}).outputs["documents"].directory
    texts = {row["path"]: row["text"] for row in rows(first)}
    assert list(texts) == ["a b&c.txt", "deep/motor.txt", "deep/valve.txt", "pump.md"]
    assert texts["deep/valve.txt"] == "Über das Ventil.\n"
    fates = {row["path"]: row["disposition"] for row in rows(first, "books.parquet")}
    assert fates["broken.pdf"] == "quarantined"
    assert not any(key.startswith("secret/") for key in bucket.read)
    again = run_step(INGEST, tmp_path / "again", {"path": "s3://company/manuals"}).outputs["documents"].directory
    assert rows(again) == rows(first)


def test_who_may_not_read_is_told_so(bucket: type[Bucket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    with pytest.raises(LoresmithError, match=r"s3://company|cannot be listed"):
        run_step(INGEST, tmp_path, {"path": "s3://company/manuals"})
    assert bucket.read == []
