"""The key ring of one machine: made once, never replaced."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

from ascwebhooks.embedded.files import write_private
from ascwebhooks.settings import KEY_RING_FILE


def ensure(home_dir: Path) -> Path:
    """Return the key ring's file, made with a first key if there was none.

    Whoever loses it loses every payload and secret that was encrypted with it.
    """
    path = home_dir / KEY_RING_FILE
    if not path.exists():
        home_dir.mkdir(parents=True, exist_ok=True)
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        write_private(path, f"k1:{key}\n", replace=False)
    return path
