"""Asks an engine everything and prints what it answered: `python -m tests.data.engine.one_of_three ENGINE FOLDER`."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from loresmith.data.engine.engine import Engine
from loresmith.data.engine.local_engine import local_engine
from loresmith.errors import LoresmithError
from tests.data.engine import work_for_workers as work
from tests.data.engine.row_files import require_right_answers

MEMORY = 1 << 30


def engine_called(name: str, folder: Path) -> Engine:
    if name == "native" or name == "daft":
        return local_engine(2, MEMORY, folder, name)
    from loresmith.data.engine.ray_engine import RayEngine

    return RayEngine(2, MEMORY, folder)


def main(name: str, folder: Path) -> None:
    with engine_called(name, folder / "tables") as engine:
        require_right_answers(engine.tables, folder, 1, 2000, 3)
        print("squares", list(engine.map(work.square, range(20))))
        for function in (work.die, work.refuse):
            try:
                list(engine.map(function, range(5)))
            except LoresmithError as error:
                print(error.where, error.what.split("(")[0])
        again = list(engine.map(work.make_slowly, [folder / "made" / str(number) for number in range(3)]))
        print("made", again)
    contents = [path.read_bytes() for path in sorted((folder / "made").rglob("*")) if path.is_file()]
    print("digest", hashlib.sha256(b"".join(contents)).hexdigest())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
