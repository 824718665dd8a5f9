"""Files below a URL, in an object store or wherever else fsspec reaches: listed in an order that never changes.

The network is used for the URLs that a recipe names and nothing else; the web (http, https) only where the recipe
says that it may be.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from loresmith.data.globs import glob_regex
from loresmith.data.path_names import LONGEST_PATH, path_name
from loresmith.data.readers.record import Refused
from loresmith.errors import Failure, UserError

_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "az"),
    **dict.fromkeys(("http", "https"), "http"),
}
_WEB = {"http", "https"}
_NOT_PLACES = {
    "github",
    "git",
    "hf",
    "reference",
    "dask",
    "cached",
    "simplecache",
    "filecache",
    "blockcache",
    "generic",
}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_PIECE = 1 << 20


@dataclass(frozen=True)
class RemoteEntry:
    """One file below a URL.

    Attributes:
        path: below the URL, as `path_names` writes it, of the web without what stands after `?`; unique.
        size: in bytes, as listed; -1 when that is not known.
        version: what tells one content from another by the listing alone (ETag, checksum); empty when nothing does.
        modified: in seconds since 1970; 0 when that is not known.
        refusal: why it is not read; empty for a file that can be.
    """

    path: str
    size: int
    version: str
    modified: float
    refusal: str = ""
    location: str = field(default="", repr=False)
    filesystem: Any = field(default=None, repr=False, compare=False)

    def read(self, max_bytes: int) -> bytes | Refused:
        """Its bytes; what is larger than `max_bytes` is not read, whatever size was listed."""
        if self.refusal:
            return Refused(self.refusal, "", 0)
        if self.size > max_bytes:
            return Refused("too large", f"{self.size} bytes; max_file_bytes is {max_bytes}", self.size)
        parts, size = [], 0
        try:
            with self.filesystem.open(self.location, "rb") as file:
                while size <= max_bytes and (part := file.read(min(_PIECE, max_bytes + 1 - size))):
                    parts.append(part)
                    size += len(part)
        except FileNotFoundError:
            return Refused("vanished", "", 0)
        except (OSError, ValueError) as error:
            return Refused("unreadable", getattr(error, "strerror", None) or type(error).__name__, 0)
        if size > max_bytes:
            return Refused("too large", f"max_file_bytes is {max_bytes}", size)
        return b"".join(parts)


def is_remote(place: str) -> bool:
    """Whether a place that a recipe names is a URL, and no folder of this machine."""
    return bool(_SCHEME.match(place))


def last_name(url: str) -> str:
    """What a URL ends in: the name of a file, or of a folder; of the web without what stands after `?`, which may be
    a signature that lets anybody in."""
    return posixpath.basename(_without_query(url).rstrip("/"))


def _of_the_web(url: str) -> bool:
    return url.partition("://")[0].lower() in _WEB


def _without_query(url: str) -> str:
    """An object store's names may have `?` and `#` in them; on the web these end the name."""
    return re.split(r"[?#]", url, maxsplit=1)[0] if _of_the_web(url) else url


def remote_entries(
    url: str,
    include: Sequence[str] = ("**",),
    exclude: Sequence[str] = (),
    *,
    allow_http: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Iterator[RemoteEntry]:
    """Everything below a URL that matches, sorted by path; a URL of one file gives that file under its own name.

    Args:
        url: such as `s3://bucket/folder`, `gs://`, `az://`, `memory://`, `file://`. Who asks is for the environment
            and `options` to say: a password in a URL would be in the recipe's digest for ever.
        include, exclude: patterns as `globs` explains them; exclude wins.
        allow_http: whether `http://` and `https://` may be read; of these a URL is one file, or a page of links.
        options: for the filesystem, as fsspec takes them.

    Raises:
        UserError: the URL is none or not allowed, its driver is missing, or nothing matches.
        Failure: the store cannot be listed.
    """
    scheme = _checked_scheme(url, allow_http)
    filesystem, root = _open(url, scheme, dict(options or {}))
    included, excluded = glob_regex(include), glob_regex(exclude)
    found: dict[str, RemoteEntry] = {}
    for name, info in _listed(filesystem, root, url):
        if excluded.fullmatch(name) or not included.fullmatch(name):
            continue
        entry = _entry(name, info, filesystem)
        if entry.path in found:
            entry = _refused(entry, f"{entry.path}~2", "two files have this name")
        found[entry.path] = entry
    if not found:
        raise UserError(
            f"no file in {hidden(url)} matches include {list(include)} and exclude {list(exclude)}",
            hint="`**` includes everything, `*.md` one kind of file at any depth, `docs/**` one folder",
        )
    yield from sorted(found.values(), key=lambda entry: entry.path)


def _checked_scheme(url: str, allow_http: bool) -> str:
    scheme = urlsplit(url).scheme.lower() if is_remote(url) else ""
    if not scheme or "::" in url or scheme in _NOT_PLACES:
        raise UserError(f"this is no URL of a place: {hidden(url)}", hint="it looks like s3://bucket/folder")
    if scheme in _WEB and not allow_http:
        raise UserError(
            f"{hidden(url)} is on the web, which this recipe may not read", hint="say `allow_http: true` if it may"
        )
    if "@" in urlsplit(url).netloc and urlsplit(url).password:
        raise UserError(
            f"{hidden(url)} has a password in it", hint="leave it to the environment: what a recipe says is kept"
        )
    return scheme


def _open(url: str, scheme: str, options: dict[str, Any]) -> tuple[Any, str]:
    import fsspec
    from fsspec.core import url_to_fs

    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        hint = f"pip install 'loresmith[{extra}]'" if extra else str(error)
        raise UserError(f"the driver for {scheme}:// is not installed", where=hidden(url), hint=hint) from None
    except ValueError:
        raise UserError(f"nothing reads {scheme}://", where=hidden(url)) from None
    try:
        filesystem, root = url_to_fs(url, use_listings_cache=False, **options)
    except (ValueError, TypeError, OSError) as error:
        raise UserError(str(error), where=hidden(url)) from None
    return filesystem, root


def _listed(filesystem: Any, root: str, url: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        if not root.endswith("/") and filesystem.isfile(root):  # a page of the web is a file, too
            yield last_name(root), filesystem.info(root)
            return
        listing = filesystem.find(root, detail=True)
    except FileNotFoundError:
        raise UserError(f"there is nothing at {hidden(url)}") from None
    except (OSError, ValueError, NotImplementedError) as error:
        raise Failure(f"it cannot be listed: {error}", where=hidden(url)) from None
    prefix = root.rstrip("/") + "/"
    for location, info in listing.items():
        name = _without_query(location).removeprefix(prefix).lstrip("/")
        if name or not _of_the_web(location):  # `?C=M` is the page of links itself, in another order
            yield name, {"name": location, **info}


def _entry(name: str, info: Mapping[str, Any], filesystem: Any) -> RemoteEntry:
    path = path_name(name)
    size = info.get("size")
    version = next(
        (str(info[key]).strip('"') for key in ("ETag", "etag", "md5Hash", "content_md5") if info.get(key)), ""
    )
    entry = RemoteEntry(
        path=path,
        size=size if isinstance(size, int) else -1,
        version=version,
        modified=_modified(info),
        location=str(info["name"]),
        filesystem=filesystem,
    )
    if info.get("islink"):
        return _refused(entry, path, "symbolic link")
    if info.get("type", "file") != "file":
        return _refused(entry, path, "not a regular file")
    if any(part in ("", ".", "..") for part in name.split("/")):
        return _refused(entry, path.replace("..", r"\x2e\x2e") or "unnamed", "path escapes")
    if len(path.encode()) > LONGEST_PATH:
        return _refused(entry, path.encode()[: LONGEST_PATH // 2].decode(errors="ignore"), "path too long")
    return entry


def _refused(entry: RemoteEntry, path: str, reason: str) -> RemoteEntry:
    return RemoteEntry(path, entry.size, entry.version, entry.modified, reason)


def _modified(info: Mapping[str, Any]) -> float:
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(key)
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return 0.0


def hidden(url: str) -> str:
    """A URL without what it says of who asks."""
    return re.sub(r"(?<=://)[^/@]*@", "", url.split("?", 1)[0])
