"""Files of endpoints: each row with the line where it begins."""

from __future__ import annotations

import pytest

from ascwebhooks.cli import endpoint_files
from ascwebhooks.errors import InvalidInput

URL = "https://hooks.example.com/in"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[\n{"url": "u"},\n\n {"url": "v",\n "timeout_s": 3}\n]'),
        ("-", '{"endpoints": [\n{"url": "u"},\n\n {"url": "v",\n "timeout_s": 3}]}'),
        ("a.jsonl", '\n{"url": "u"}\n\n{"url": "v", "timeout_s": 3}\n'),
        ("a.txt", "\ufeff" + '\n{"url": "u"}\n\n{"url": "v", "timeout_s": 3}'),
    ],
)
def test_json_in_its_two_forms(name, text):
    rows = endpoint_files.read(name, text.encode())
    assert rows == [(2, {"url": "u"}), (4, {"url": "v", "timeout_s": 3})]


def test_csv_gives_each_cell_its_type():
    text = (
        "url,event_types,retry_schedule_s,timeout_s,headers,description\r\n"
        'u,a.* b,"5, 300",7,"{""x-a"": ""b""}","two\nlines"\r\n'
        "\r\n"
        "v,,,many,x-a: b,\r\n"
    )
    assert endpoint_files.read("a.csv", text.encode()) == [
        (2, {
            "url": "u",
            "event_types": ["a.*", "b"],
            "retry_schedule_s": [5, 300],
            "timeout_s": 7,
            "headers": {"x-a": "b"},
            "description": "two\nlines",
        }),
        (5, {"url": "v", "timeout_s": "many", "headers": "x-a: b"}),
    ]  # fmt: skip


def test_a_file_without_a_name_is_csv_if_it_does_not_begin_like_json():
    assert endpoint_files.read("-", b"url\nu\n") == [(2, {"url": "u"})]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.json", b'[\n{"url": "u"},\n{]', "a.json, line 3: this is not JSON"),
        ("a.json", b'{"endpoints": [{}]', "line 1: this is not JSON"),
        ("a.jsonl", b'{"url": "u"}\n{"url": }', "line 2: this is not JSON"),
        ("a.csv", b"name\nu\n", "line 1: no column 'url'"),
        ("a.csv", b"", "line 1: no column 'url'"),
        ("a.csv", b"url\nu\nv,w\n", "line 3: 2 cells for 1 columns"),
        ("a.csv", b'url\n"u\n', "this is not CSV"),
        ("a.csv", b"url\nu\n\xff\n", "line 3: this is not UTF-8"),
    ],
)
def test_what_cannot_be_read_names_the_line(name, data, said):
    with pytest.raises(InvalidInput, match="line") as caught:
        endpoint_files.read(name, data)
    assert said in str(caught.value)
