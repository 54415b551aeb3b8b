"""A request as a command for a shell, whatever bytes it holds."""

from __future__ import annotations

from collections.abc import Iterable

#: libcurl sends these by itself, or they would be wrong after an edit.
_OWN = frozenset({"content-length", "host", "expect", "connection"})


def command(
    url: str, headers: Iterable[tuple[str, str]], body: bytes, *, hidden: str
) -> str:
    """Return a POST as a command for any POSIX shell.

    Text that a person can read is quoted as it is.  Anything else (NUL, what is not
    UTF-8, what a terminal would act on) goes through ``printf`` as octal numbers.

    Args:
        url: Where to.
        headers: Names and values.
        body: The body.
        hidden: What stands where a header's value is not shown; the command has a
            placeholder there.
    """
    words = ["curl", "--globoff", "--request", "POST", quote(url)]
    for name, value in headers:
        if name.lower() not in _OWN:
            shown = f"<your {name}>" if value == hidden else value
            line = f"{name}: {shown}" if shown.strip() else f"{name};"
            words += ["\\\n  --header", quote(line)]
    text = _readable(body)
    if text is not None:
        return " ".join([*words, "\\\n  --data-raw", quote(text)])
    sent = " ".join([*words, "\\\n  --data-binary", "@-"])
    return f"printf {quote(_octal(body))} | {sent}"


def quote(text: str) -> str:
    """Return ``text`` as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _readable(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if all(each.isprintable() or each in "\n\t" for each in text) else None


def _octal(body: bytes) -> str:
    return "".join(
        chr(each) if 0x20 <= each < 0x7F and each not in b"\\%" else f"\\{each:03o}"
        for each in body
    )
