"""The README is what people see first, rendered by whoever hosts it."""

from __future__ import annotations

import io
from pathlib import Path

from docutils.core import publish_doctree

README = Path(__file__).parents[2] / "README.rst"


def test_it_renders_without_a_complaint():
    complaints = io.StringIO()
    options = {
        "warning_stream": complaints,
        "report_level": 1,
        # Colours are the host's.
        "syntax_highlight": "none",
    }

    publish_doctree(README.read_text(), settings_overrides=options)

    assert complaints.getvalue() == ""
