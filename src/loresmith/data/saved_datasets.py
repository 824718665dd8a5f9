"""Folders of datasets, as the library `datasets` saves them and as hubs have them: which files have the rows.

- What `Dataset.save_to_disk` writes: `state.json` names the Arrow files, `dataset_info.json` may state a licence.
- What `DatasetDict.save_to_disk` writes: `dataset_dict.json` names the splits, each such a folder.
- Any other folder: the dataset card, `README.md`, may say in its front matter which files a configuration and each of
  its splits have, and the licence; else all tables and lines of JSON are meant, and their names say the split.

Nothing that is read here is code, and no name in it leads out of the folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loresmith.data.globs import glob_regex
from loresmith.data.scan import scan
from loresmith.errors import UserError
from loresmith.nearest import unknown_name
from loresmith.yaml_lines import load_yaml

DATASET, DATASETS, INFO, CARD = "state.json", "dataset_dict.json", "dataset_info.json", "README.md"

_LARGEST_TEXT = 8 << 20
_DATA = re.compile(r"\.(?:arrow|parquet|jsonl|ndjson|csv|tsv)(?:\.(?:gz|zst|bz2|xz))?$")
_SPLIT_NAMES = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "test", "testing": "test"}
_SPLIT_IN_NAME = re.compile(r"(?:^|[/._ -])(train|training|validation|valid|val|dev|test|testing|eval)(?=[/._ -]|\d|$)")
_FRONT_MATTER = re.compile(r"\A\ufeff?---\s*\n(.*?)^---\s*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class SavedDataset:
    """What there is in a folder.

    Attributes:
        files: paths below it, ascending, each with its split.
        licence: as it is stated; empty: it is not.
    """

    files: Mapping[str, str]
    licence: str

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits, in the order of their names."""
        return tuple(sorted(set(self.files.values())))

    def patterns(self, splits: Sequence[str], where: str) -> list[str]:
        """Patterns that match the files of these splits and nothing else; of all, if none is named.

        Raises:
            UserError: there is no such split.
        """
        for split in splits:
            if split not in self.splits:
                raise UserError(unknown_name("split", split, self.splits), where=where)
        return [_pattern(path) for path, split in self.files.items() if not splits or split in splits]


def find_dataset(folder: Path, configuration: str = "") -> SavedDataset:
    """Find out which files of a folder have the rows of a dataset.

    Args:
        configuration: which one of those that the card names; empty: `default`, or the only one.

    Raises:
        UserError: there is no dataset, a file is missing, or what describes it is damaged.
    """
    if not folder.is_dir():
        raise UserError("this is not a folder", where=str(folder), hint="name the folder of a dataset")
    if (folder / DATASETS).exists():
        splits = _names(_object(folder / DATASETS).get("splits"), folder / DATASETS, "splits")
        files = {file: split for split in splits for file in _saved(folder, f"{split}/")}
        licence = next(filter(None, (_stated(folder / split / INFO) for split in splits)), "")
        found = SavedDataset(dict(sorted(files.items())), licence)
    elif (folder / DATASET).exists():
        split = str(_object(folder / DATASET).get("_split") or "train")
        found = SavedDataset(dict.fromkeys(sorted(_saved(folder, "")), split), _stated(folder / INFO))
    else:
        found = _published(folder, configuration)
    if not found.files:
        raise UserError("there is no file of a dataset here", where=str(folder))
    return found


def write_card(folder: Path, files: Mapping[str, str], licence: str, configuration: str = "") -> None:
    """Write the card by which `find_dataset` finds these files and this licence in a folder.

    Args:
        files: paths below it, each with its split.
    """
    patterns: dict[str, list[str]] = {}
    for path, split in files.items():
        patterns.setdefault(split, []).append(_pattern(path).removeprefix("/"))
    data_files = [{"split": split, "path": wanted} for split, wanted in patterns.items()]
    card = {"license": licence, "configs": [{"config_name": configuration or "default", "data_files": data_files}]}
    (folder / CARD).write_text(f"---\n{json.dumps(card, ensure_ascii=False)}\n---\n", encoding="utf-8")


def _saved(folder: Path, below: str) -> Iterator[str]:
    """The files that a `state.json` names."""
    state = folder / below / DATASET
    listed = _object(state).get("_data_files")
    if isinstance(listed, list):
        listed = [file.get("filename") if isinstance(file, dict) else None for file in listed]
    for name in _names(listed, state, "_data_files"):
        if not (folder / below / name).is_file():
            raise UserError(f"{name} is missing", where=str(state), hint="copy the whole folder")
        yield f"{below}{name}"


def _names(names: Any, where: Path, key: str) -> list[str]:
    """Names of files or folders in one folder, as they stand in a description that anybody may have written."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{key} is no list of names", where=str(where))
    for name in names:
        if not name or name in (".", "..") or set(name) & set("/\\\0\n"):
            raise UserError(f"{key} has {name!r}, which is no name of a file in this folder", where=str(where))
    return list(dict.fromkeys(names))


def _published(folder: Path, configuration: str) -> SavedDataset:
    card = _card(folder / CARD)
    entries = scan([folder], ("**",), (".git", ".cache", ".huggingface"))
    paths = [entry.path for entry in entries if not entry.refusal and _DATA.search(entry.path)]
    licence = card.get("license", "")
    stated = ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence or "")
    declared = _configuration(card, configuration, str(folder / CARD))
    files: dict[str, str] = {}
    for split, patterns in declared:
        try:
            wanted = glob_regex(patterns)
        except ValueError as error:
            raise UserError(str(error), where=str(folder / CARD)) from None
        matching = [path for path in paths if wanted.fullmatch(path)]
        if not matching:
            raise UserError(f"the split {split!r} has no file: {', '.join(patterns)}", where=str(folder / CARD))
        files |= dict.fromkeys(matching, split)
    if not declared:
        files = {path: _split_in(path) for path in paths}
    return SavedDataset(dict(sorted(files.items())), stated or _stated(folder / INFO))


def _configuration(card: Mapping[str, Any], wanted: str, where: str) -> list[tuple[str, list[str]]]:
    """Of the configuration that is wanted, the splits and their patterns; none if the card names no files."""
    listed = card.get("configs")
    configurations = {
        str(each.get("config_name", "default")): each.get("data_files")
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and each.get("data_files")
    }
    if not configurations and not wanted:
        return []
    chosen = wanted or ("default" if "default" in configurations else next(iter(configurations)))
    if not wanted and len(configurations) > 1 and chosen != "default":
        raise UserError(
            f"the card names {len(configurations)} configurations: {', '.join(sorted(configurations))}",
            where=where,
            hint="say which with `configuration`",
        )
    if chosen not in configurations:
        raise UserError(unknown_name("configuration", chosen, configurations), where=where)
    files = configurations[chosen]
    if not isinstance(files, list) or not all(isinstance(each, dict) for each in files):
        return [("train", _patterns(files, where))]
    return [(str(each.get("split", "train")), _patterns(each.get("path"), where)) for each in files]


def _patterns(written: Any, where: str) -> list[str]:
    found = written if isinstance(written, list) else [written]
    if not found or not all(isinstance(each, str) and each for each in found):
        raise UserError("data_files are neither a pattern nor a list of patterns", where=where)
    # A pattern without a slash is meant for the folder itself, not for any depth.
    return [each if "/" in each.strip("/") or each.startswith("**") else f"/{each}" for each in found]


def _split_in(path: str) -> str:
    """The split that the names of a file and its folders say; train where they say nothing."""
    found = _SPLIT_IN_NAME.findall(path.lower())
    return _SPLIT_NAMES.get(found[-1], found[-1].removesuffix("ing")) if found else "train"


def _pattern(path: str) -> str:
    """A pattern that this path alone matches."""
    return "/" + re.sub(r"[*?\[]", lambda match: f"[{match[0]}]", path)


def _card(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    match = _FRONT_MATTER.match(_text(path))
    if match is None:
        return {}
    data = load_yaml(match[1], str(path)).data
    return data if isinstance(data, dict) else {}


def _stated(info: Path) -> str:
    """The licence that a `dataset_info.json` states."""
    licence = _object(info).get("license", "") if info.is_file() else ""
    return licence.strip() if isinstance(licence, str) else ""


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"this is not JSON: {error}", where=str(path)) from None
    if not isinstance(found, dict):
        raise UserError("this is not an object of JSON", where=str(path))
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_TEXT + 1)
        if len(data) > _LARGEST_TEXT:
            raise UserError(f"this is larger than {_LARGEST_TEXT} bytes", where=str(path))
        return data.decode()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise UserError(f"this is not UTF-8: {error.reason} (byte {error.start})", where=str(path)) from None
