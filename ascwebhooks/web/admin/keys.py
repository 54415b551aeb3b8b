"""Pages of keys."""

from __future__ import annotations

from flask import Blueprint

blp = Blueprint("keys", __name__)
