"""Files and folders that nobody else may read."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from ascwebhooks.embedded.processes import Identity
from ascwebhooks.errors import Unavailable


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file of mode 0600, whole or not at all.

    Args:
        path: Where to; its folder exists.
        text: What.
        replace: Whether a file that is there already is replaced or kept.
    """
    # mkstemp makes it 0600, whatever the umask.
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            Path(name).replace(path)
        else:
            _link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    _sync_folder(path.parent)


def private_folder(path: Path, user: Identity | None = None) -> Path:
    """Make a folder of mode 0700 that belongs to ``user``, or check the one there.

    Args:
        path: The folder; what it stands in exists.
        user: Whose it is; None: ours.

    Raises:
        Unavailable: If it is somebody else's, or no folder at all (in /tmp
            anyone could have put it there).
    """
    owner = os.geteuid() if user is None else user.uid
    try:
        path.mkdir(mode=0o700)
        if user is not None:
            os.chown(path, user.uid, user.gid)
    except FileExistsError:
        _check_owner(path, owner)
    path.chmod(0o700)
    return path


def _check_owner(path: Path, owner: int) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise Unavailable(f"{path} is in the way: a private folder belongs there.")
    if found.st_uid != owner:
        raise Unavailable(
            f"{path} belongs to user id {found.st_uid}, not to {owner}. "
            f"Start as that user, or set ASCWEBHOOKS_HOME_DIR to another folder."
        )


def _link(name: str, path: Path) -> None:
    # A link never replaces: of two that write at once, the first one's stays.
    with contextlib.suppress(FileExistsError):
        os.link(name, path)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
