from __future__ import annotations

import string
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ascwebhooks.domain.urls import FORBIDDEN_PORTS, Target, parse_target
from ascwebhooks.errors import TargetRejected


def parse(text: str) -> Target:
    return parse_target(text, allow_http=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "https://example.com",
            Target("https://example.com/", "https", "example.com", 443, False),
        ),
        (
            "HTTPS://Example.COM:443/A?b=C#frag",
            Target("https://example.com/A?b=C", "https", "example.com", 443, False),
        ),
        (
            "http://example.com:80",
            Target("http://example.com/", "http", "example.com", 80, False),
        ),
        (
            "https://example.com:80/",
            Target("https://example.com:80/", "https", "example.com", 80, False),
        ),
        (
            "http://127.0.0.1:54321/hook",
            Target("http://127.0.0.1:54321/hook", "http", "127.0.0.1", 54321, True),
        ),
        (
            "https://[2001:0DB8::0:1]:8443",
            Target("https://[2001:db8::1]:8443/", "https", "2001:db8::1", 8443, True),
        ),
        (
            "https://bücher.example/ä b".replace(" ", ""),
            Target(
                "https://xn--bcher-kva.example/%C3%A4b",
                "https",
                "xn--bcher-kva.example",
                443,
                False,
            ),
        ),
        (
            "https://faß.example?q=1",
            Target(
                "https://xn--fa-hia.example/?q=1",
                "https",
                "xn--fa-hia.example",
                443,
                False,
            ),
        ),
        (
            "https://my_service.internal/a%2Fb/../c",
            Target(
                "https://my_service.internal/a%2Fb/../c",
                "https",
                "my_service.internal",
                443,
                False,
            ),
        ),
        (
            "https://example.com/@user?x=a@b:c",
            Target(
                "https://example.com/@user?x=a@b:c", "https", "example.com", 443, False
            ),
        ),
    ],
)
def test_what_is_accepted_and_how_it_is_normalised(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        (None, "not text"),
        ("https://example.com/" + "a" * 2048, "longer"),
        ("https://example.com/" + "ä" * 1000, "longer"),
        ("example.com/hook", "https://"),
        ("//example.com", "https://"),
        ("https:/example.com", "https://"),
        ("https:example.com", "https://"),
        ("ftp://example.com", "'ftp'"),
        ("file:///etc/passwd", "'file'"),
        ("gopher://example.com:6379/_x", "'gopher'"),
        ("javascript://example.com", "'javascript'"),
        ("https://user@example.com", "user name"),
        ("https://user:password@example.com", "user name"),
        ("https://@example.com", "user name"),
        ("https://good.example@127.0.0.1", "user name"),
        ("https://example.com\\@127.0.0.1/", "backslash"),
        ("https:\\\\example.com", "backslash"),
        ("https://example.com/a\\b", "backslash"),
        (" https://example.com", "white space"),
        ("https://example.com ", "white space"),
        ("https://exa mple.com", "white space"),
        ("https://example.com/a b", "white space"),
        ("https://example.com/\r\nx: y", "control"),
        ("https://example.com\t/", "control"),
        ("https://example.com/\x00", "control"),
        ("https://example.com/\x7f", "control"),
        ("https://example.com/\u2028", "control"),
        ("https://example.com/\u00a0", "white space"),
        ("https://example.com/\u202etxt", "control"),
        ("https://example.com/\ud800", "control"),
        ("https://exam%70le.com", "'%'"),
        ("https://127.0.0.1%2f@x", "user name"),
        ("https://[fe80::1%25eth0]/", "'%'"),
        ("https://[fe80::1%eth0]/", "'%'"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://:443/", "no host"),
        ("https://?x", "no host"),
        ("https://#x", "no host"),
        ("https://example.com./", "dot"),
        ("https://127.0.0.1./", "dot"),
        ("https://./", "dot"),
        ("https://.example.com/", "malformed"),
        ("https://a..example.com/", "malformed"),
        ("https://-a.example.com/", "malformed"),
        ("https://a-.example.com/", "malformed"),
        ("https://a,b.example.com/", "malformed"),
        ("https://$(id).example.com/", "malformed"),
        ("https://" + "a" * 64 + ".example.com/", "malformed"),
        ("https://" + "a." * 126 + "ab/", "malformed"),
        ("https://127.1/", "number"),
        ("https://127.0.1/", "number"),
        ("https://2130706433/", "number"),
        ("https://0/", "number"),
        ("https://0x7f000001/", "number"),
        ("https://0X7F.0.0.1/", "number"),
        ("https://0x7f.1/", "number"),
        ("https://127.0.0.0x1/", "number"),
        ("https://0177.0.0.1/", "number"),
        ("https://127.0.0.01/", "number"),
        ("https://017700000001/", "number"),
        ("https://256.0.0.1/", "number"),
        ("https://1.2.3.4.5/", "number"),
        ("https://example.1/", "number"),
        ("https://example.0x/", "number"),
        ("https://①②⑦.⓪.⓪.①/", "internationalised"),
        ("https://127。0。0。1/", "internationalised"),
        ("https://127\uff0e0\uff0e0\uff0e1/", "internationalised"),
        ("https://\uff11\uff12\uff17.0.0.1/", "internationalised"),
        ("https://٣.example/", "internationalised"),
        ("https://\uff45xample.com/", "internationalised"),
        ("https://exa\u00admple.com/", "control"),
        ("https://BÜCHER.example/", "internationalised"),
        ("https://ex℀mple.com/", "internationalised"),
        ("https://xn--a/", "internationalised"),
        ("https://xn--zzzzzzzzz99/", "internationalised"),
        ("https://xn--.example/", "malformed"),
        ("https://[::1/", "IPv6"),
        ("https://[::1]x/", "IPv6"),
        ("https://[127.0.0.1]/", "IPv6"),
        ("https://[]/", "IPv6"),
        ("https://[v1.a]/", "IPv6"),
        ("https://[[::1]]/", "IPv6"),
        ("https://::1/", "no host"),
        ("https://example.com:/", "port"),
        ("https://example.com:0/", "port"),
        ("https://example.com:00443/", "port"),
        ("https://example.com:+443/", "port"),
        ("https://example.com:-1/", "port"),
        ("https://example.com:65536/", "port"),
        ("https://example.com:٤٤٣/", "port"),
        ("https://example.com:443:443/", "port"),
        ("https://example.com:x/", "port"),
        ("https://example.com:22/", "port 22"),
        ("https://example.com:25/", "port 25"),
        ("https://example.com:1023/", "port 1023"),
        ("https://example.com:6379/", "port 6379"),
        ("https://example.com:5432/", "port 5432"),
    ],
)
def test_what_is_refused_and_that_it_is_named(text, word):
    with pytest.raises(TargetRejected) as caught:
        parse(text)

    assert word in str(caught.value)
    assert caught.value.context == {"field": "url"}


def test_plain_http_is_the_operators_to_allow():
    with pytest.raises(TargetRejected, match="plain http"):
        parse_target("http://example.com/", allow_http=False)
    assert parse_target("https://example.com/", allow_http=False).scheme == "https"


@given(st.integers(1, 65535))
def test_ports(port):
    allowed = port in (80, 443) or (port >= 1024 and port not in FORBIDDEN_PORTS)
    try:
        assert parse(f"https://a.example:{port}/").port == port
    except TargetRejected:
        assert not allowed
    else:
        assert allowed


# What URLs are made of, and what has been used to confuse their parsers.
pieces = st.lists(
    st.sampled_from(
        [
            *string.ascii_letters[:6],
            *string.digits,
            *":/?#[]@!$&'()*+,;=%\\. _-~^`{|}\"<>",
            "https://",
            "http://",
            "//",
            "127.0.0.1",
            "0x7f",
            "::1",
            "xn--",
            "example.com",
            "ü",
            "。",
            "①",
            "\t",
            "\n",
            "\x00",
            "\u202e",
        ]
    ),
    max_size=12,
).map("".join)


@given(st.one_of(st.text(), pieces, pieces.map("https://".__add__)))
@example("https://a/%")
@example("https://ab--c.example/")
def test_a_target_is_safe_stable_and_read_alike_by_another_parser(text):
    try:
        target = parse(text)
    except TargetRejected:
        return
    assert parse(target.url) == target, "normalising twice changes nothing"
    assert target.url.isascii()
    assert target.url.isprintable()
    assert not set(' \\"<>^`{|}#') & set(target.url)
    assert len(target.url) <= 2048
    other = urlsplit(target.url)
    assert (other.scheme, other.hostname) == (target.scheme, target.host)
    assert (other.port or {"https": 443, "http": 80}[other.scheme]) == target.port
    assert (other.username, other.password) == (None, None)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_has_one_spelling(address):
    assert parse(f"https://{address}/").host == str(address)
    number = int(address)
    octets = address.packed
    for spelling in (
        str(number),
        hex(number),
        f"0{number:o}",
        ".".join(f"0x{each:x}" for each in octets),
        ".".join(f"0{each:o}" for each in octets),
        f"{octets[0]}.{number & 0xFFFFFF}",
    ):
        with pytest.raises(TargetRejected):
            parse(f"https://{spelling}/")


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_is_normalised(address):
    target = parse(f"https://[{address.exploded}]/")

    assert (target.host, target.is_ip) == (str(address), True)
    assert target.url == f"https://[{address}]/"
