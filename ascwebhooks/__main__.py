"""``python -m ascwebhooks``: the same as the console script."""

from __future__ import annotations

from ascwebhooks.bootstrap import main

if __name__ == "__main__":
    main()
