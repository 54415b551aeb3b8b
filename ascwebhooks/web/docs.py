"""The API's description for people: Swagger UI from its package, no other host."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, send_file
from werkzeug.exceptions import NotFound

_OWN = Path(str(files("ascwebhooks.web") / "static"))
_SWAGGER = Path(str(files("flask_swagger_ui") / "dist"))
_PAGE = "docs.html"
_FILES = {
    "docs.css": _OWN,
    "docs.js": _OWN,
    "swagger-ui.css": _SWAGGER,
    "swagger-ui-bundle.js": _SWAGGER,
}

#: Scripts and styles from files of this host alone; Swagger UI's icons are data URIs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

blp = Blueprint("docs", __name__, url_prefix="/api/docs")


@blp.get("")
def page() -> Response:
    """Show the page."""
    return _send(_OWN / _PAGE)


@blp.get("/<name>")
def file(name: str) -> Response:
    """Send one of the files that the page loads."""
    if name not in _FILES:
        raise NotFound
    return _send(_FILES[name] / name)


def _send(path: Path) -> Response:
    response = send_file(path, conditional=True, max_age=3600)
    response.headers["Content-Security-Policy"] = POLICY
    return response
