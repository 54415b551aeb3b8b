"""What a running ``ascwebhooks up`` tells other commands: HOME_DIR/runtime.env."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ascwebhooks.embedded.files import write_private
from ascwebhooks.settings import PREFIX, RUNTIME_FILE


def write(home_dir: Path, values: Mapping[str, str]) -> Path:
    """Write settings for the commands started beside this one.

    Args:
        home_dir: HOME_DIR.
        values: Settings without their prefix, such as ``DATABASE_URL``.

    Raises:
        ValueError: If a value cannot be written so that it reads back the same.
    """
    path = home_dir / RUNTIME_FILE
    write_private(path, "".join(_line(*each) for each in values.items()))
    return path


def remove(home_dir: Path) -> None:
    """Remove it, at the end or when one was left behind by kill -9."""
    (home_dir / RUNTIME_FILE).unlink(missing_ok=True)


def _line(name: str, value: str) -> str:
    if "\n" in value or "${" in value:
        raise ValueError(f"{name} holds a line break or '${{'")
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{PREFIX}{name}='{quoted}'\n"
