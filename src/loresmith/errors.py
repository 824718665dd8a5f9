"""The two ways in which Loresmith says no.

Every message names what was wrong, where, and what to do next; a face prints it without a traceback.
"""

from __future__ import annotations

import errno


class LoresmithError(Exception):
    """Something that a person is told in plain words.

    Args:
        what: what was wrong, in one sentence.
        where: the file, line, key or record it was found in.
        hint: what to do about it.
    """

    exit_status = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  {self.hint}" if self.hint else ""
        return f"{place}{self.what}{advice}"


class UserError(LoresmithError):
    """The request cannot be carried out as it was made: a wrong key, a missing file, an unknown name."""

    exit_status = 2


class Failure(LoresmithError):
    """The request was sound and the work failed: a full disk, a damaged blob, a step that crashed."""

    exit_status = 1


class Interrupted(LoresmithError):
    """The work was stopped, or what did it was killed; it can go on from its last safe point."""

    exit_status = 130


_OS_CAUSES = {
    errno.ENOSPC: ("the disk is full", "free some space and start again; what was finished is kept"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and start again; what was finished is kept"),
    errno.EROFS: ("the file system is read-only", "choose a workspace on a file system that can be written"),
    errno.EACCES: ("permission denied", "check who owns the file and its folder"),
    errno.EMFILE: ("too many open files", "raise the limit with `ulimit -n`"),
}


def os_failure(error: OSError, where: str | None = None) -> Failure:
    """The Failure that tells a person what the operating system refused."""
    cause, hint = _OS_CAUSES.get(error.errno or 0, (error.strerror or str(error), None))
    place = str(error.filename) if error.filename is not None else None
    return Failure(f"{cause} ({place})" if place and place != where else cause, where=where, hint=hint)
