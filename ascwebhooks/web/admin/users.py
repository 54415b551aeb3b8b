"""Pages of users."""

from __future__ import annotations

from flask import Blueprint

blp = Blueprint("users", __name__)
