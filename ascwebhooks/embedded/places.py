"""Where the engines keep their data, and who they run as.

Without root that is simple: below HOME_DIR, as ourselves.  As root it is not,
because PostgreSQL refuses to run as root.  The engines then run as a user who
may do nothing else, and the data belongs to that user.  Permissions of folders
that were there before are never changed: where that user cannot reach HOME_DIR
(anything below /root), the data goes below /var/lib/ascwebhooks.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from ascwebhooks.embedded.files import private_folder
from ascwebhooks.embedded.processes import Identity
from ascwebhooks.errors import Unavailable

SYSTEM_DIR = Path("/var/lib/ascwebhooks")
POSTGRES, VALKEY = "postgres", "valkey"
_USERS = ("ascwebhooks", "postgres", "nobody")
# sockaddr_un holds 108 bytes, the last of them zero.
_SOCKET_PATH_BYTES = 107
_SOCKET_NAME = ".s.PGSQL.5432"


@dataclass(frozen=True)
class Place:
    """Where the engines of one HOME_DIR live.

    Args:
        home: HOME_DIR.
        data: The folder that holds ``postgres`` and ``valkey``.
        user: Who the engines run as; None: as we do.
        note: What the operator should be told about it, if anything.
    """

    home: Path
    data: Path
    user: Identity | None = None
    note: str | None = None


def choose(home: Path, *, system_dir: Path = SYSTEM_DIR) -> Place:
    """Return where the engines of ``home`` live, and make the folder.

    Data that is there already stays where it is and keeps its owner.

    Args:
        home: HOME_DIR, which exists.
        system_dir: Where data goes that the engines' user could not reach.

    Raises:
        Unavailable: If there is data that the engines could not reach.
    """
    home = home.resolve()
    if os.geteuid() != 0:
        return Place(home, home)
    elsewhere = system_dir / f"{home.name}-{_digest(home)}"
    for folder in (home, elsewhere):
        if owner := _data_owner(folder):
            return _kept(home, folder, owner)
    user = unprivileged()
    if reachable(home, user):
        return Place(home, home, user, _note(home, user))
    _shared_folder(system_dir)
    _shared_folder(elsewhere)
    if not reachable(elsewhere, user):
        raise Unavailable(f"{_name(user)} can enter neither {home} nor {elsewhere}.")
    return Place(home, elsewhere, user, _note(elsewhere, user, home))


def unprivileged() -> Identity:
    """Return the user that engines run as when we are root.

    Raises:
        Unavailable: If there is none of them.
    """
    for name in _USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(entry.pw_uid, entry.pw_gid)
    raise Unavailable(
        "PostgreSQL refuses to run as root, and there is no user "
        f"{', '.join(_USERS)} to run it as. Make one (useradd --system ascwebhooks)."
    )


def reachable(path: Path, user: Identity) -> bool:
    """Return whether ``user`` may enter ``path`` and every folder above it."""
    return all(_enterable(each.stat(), user) for each in (path, *path.parents))


def socket_folder(place: Place) -> Path:
    """Make and return the private folder for PostgreSQL's socket.

    It stands beside the data, or where that path is too long for a socket, in
    the user's own runtime folder or in /tmp.

    Raises:
        Unavailable: If somebody else has made a folder of that name.
    """
    folder = place.data / "run"
    if len(os.fsencode(folder / _SOCKET_NAME)) > _SOCKET_PATH_BYTES:
        folder = _runtime_dir() / f"ascwebhooks-{os.geteuid()}-{_digest(place.data)}"
    return private_folder(folder, place.user)


def _kept(home: Path, folder: Path, owner: Identity) -> Place:
    if not reachable(folder, owner):
        raise Unavailable(
            f"{folder} holds data of user id {owner.uid}, who can no longer enter "
            f"that folder. Let that user in again, or move {folder / POSTGRES} and "
            f"{folder / VALKEY} to a folder it can enter."
        )
    return Place(home, folder, owner, _note(folder, owner, home))


def _data_owner(folder: Path) -> Identity | None:
    for name in (POSTGRES, VALKEY):
        try:
            found = (folder / name).lstat()
        except FileNotFoundError:
            continue
        # Root's own cannot be a database that ran; it was made half and left.
        if found.st_uid != 0:
            return Identity(found.st_uid, found.st_gid)
    return None


def _note(folder: Path, user: Identity, home: Path | None = None) -> str:
    text = f"We are root: the engines run as {_name(user)}, their data is in {folder}"
    if home is None or home == folder:
        return text + "."
    return f"{text}, because that user cannot enter {home}."


def _name(user: Identity) -> str:
    try:
        return f"user {pwd.getpwuid(user.uid).pw_name}"
    except KeyError:
        return f"user id {user.uid}"


def _enterable(found: os.stat_result, user: Identity) -> bool:
    if found.st_uid == user.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == user.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def _shared_folder(path: Path) -> Path:
    """Make a folder of root's that others may enter, or check the one there."""
    try:
        path.mkdir()
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0:
            raise Unavailable(f"{path} must be a folder that is root's.") from None
    else:
        # We made it just now; a strict umask would have closed it.
        path.chmod(0o755)
    return path


def _runtime_dir() -> Path:
    folder = Path(f"/run/user/{os.geteuid()}")
    if os.geteuid() != 0 and folder.is_dir() and folder.stat().st_uid == os.geteuid():
        return folder
    return Path("/tmp")  # noqa: S108  (private_folder checks what is there)


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:10]
