"""Where an endpoint's deliveries go: the one parser of endpoint URLs.

It is strict where parsers differ.  What two programs may read in two ways
(userinfo, backslashes, odd spellings of addresses) is refused, so that the host
that was checked is the host that libcurl connects to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from string import ascii_lowercase, ascii_uppercase
from urllib.parse import quote

import idna

from ascwebhooks.errors import TargetRejected

MAX_URL_LENGTH = 2048
MAX_HOST_LENGTH = 253

DEFAULT_PORTS = {"https": 443, "http": 80}

#: Ports from 1024 on at which something listens that a POST could harm or that
#: would read a request as commands: databases, brokers, control planes, and
#: what browsers refuse (https://fetch.spec.whatwg.org/#port-blocking).
FORBIDDEN_PORTS = frozenset(
    {
        1099,  # Java RMI
        1433,  # Microsoft SQL Server
        1434,
        1521,  # Oracle
        1719,  # H.323
        1720,
        1723,  # PPTP
        1883,  # MQTT
        2049,  # NFS
        2375,  # Docker
        2376,
        2377,
        2379,  # etcd
        2380,
        3306,  # MySQL
        3389,  # remote desktop
        3659,  # Apple SASL
        4045,  # NFS lock manager
        4222,  # NATS
        4369,  # Erlang port mapper
        5060,  # SIP
        5061,
        5432,  # PostgreSQL
        5433,
        5671,  # AMQP
        5672,
        5900,  # VNC
        5984,  # CouchDB
        5985,  # WinRM
        5986,
        6000,  # X11
        6379,  # Redis, Valkey
        6380,
        6432,  # PgBouncer
        6443,  # Kubernetes API
        6566,  # SANE
        6665,  # IRC
        6666,
        6667,
        6668,
        6669,
        6679,
        6697,
        8500,  # Consul
        9042,  # Cassandra
        9092,  # Kafka
        9200,  # Elasticsearch
        9300,
        10080,  # Amanda
        10250,  # kubelet
        10255,
        11211,  # memcached
        16379,  # Redis cluster bus
        26379,  # Redis Sentinel
        27017,  # MongoDB
        27018,
        27019,
    }
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_AUTHORITY_END = re.compile(r"[/?#]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
#: RFC 3986's reserved characters and "%", which are left as they came.
_KEPT = "%/?:@!$&'()*+,;=[]~"


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed endpoint URL.

    ``host`` is lower-case ASCII, for IPv6 without brackets; ``url`` is what is
    stored and sent to: default port and fragment are gone, the path is ASCII.
    """

    url: str
    scheme: str
    host: str
    port: int
    is_ip: bool


def parse_target(text: str, *, allow_http: bool) -> Target:
    """Return what ``text`` points to.

    Args:
        text: The URL as the tenant gave it, at most 2,048 characters.
        allow_http: Whether plain http may be used; the operator's setting.

    Raises:
        TargetRejected: If it is not a URL that a delivery may go to; the message
            says what is wrong.

    Source:
        RFC 3986 §3; for hosts that end in a number the WHATWG URL standard §3.5;
        RFC 5891 §4 for names that are not ASCII.
    """
    _check_text(text)
    scheme, rest = _split_scheme(text, allow_http=allow_http)
    cut = _AUTHORITY_END.search(rest)
    authority, path = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    host_text, port_text = _split_authority(authority)
    host, is_ip = _parse_host(host_text)
    port = _parse_port(port_text, DEFAULT_PORTS[scheme])
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    url = f"{scheme}://{shown_host}{shown_port}{_normalised_path(path)}"
    if len(url) > MAX_URL_LENGTH:
        raise _rejected(f"is longer than {MAX_URL_LENGTH} characters when encoded")
    return Target(url=url, scheme=scheme, host=host, port=port, is_ip=is_ip)


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise _rejected("is not text")
    if not text:
        raise _rejected("is empty")
    if len(text) > MAX_URL_LENGTH:
        raise _rejected(f"is longer than {MAX_URL_LENGTH} characters")
    if "\\" in text:
        raise _rejected("contains a backslash")
    # Not printable: control characters, every kind of white space but " ",
    # bidirectional marks and lone surrogates.
    if " " in text or not text.isprintable():
        raise _rejected("contains white space or a control character")


def _split_scheme(text: str, *, allow_http: bool) -> tuple[str, str]:
    match = _SCHEME.match(text)
    if match is None:
        raise _rejected("does not start with https://")
    scheme = match[1].lower()
    if scheme == "http" and not allow_http:
        raise _rejected("is plain http, which is switched off here; use https://")
    if scheme not in DEFAULT_PORTS:
        raise _rejected(f"has the scheme {scheme!r}; use https://")
    return scheme, text[match.end() :]


def _split_authority(authority: str) -> tuple[str, str | None]:
    if "@" in authority:
        raise _rejected("contains a user name or password before '@'")
    if "%" in authority:
        raise _rejected("has '%' in its host; zone ids and escapes are not allowed")
    if authority.startswith("["):
        host, bracket, port = authority.partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise _rejected("has a malformed IPv6 address as its host")
        return host + bracket, port[1:] if port else None
    host, colon, port = authority.partition(":")
    return host, port if colon else None


def _parse_port(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise _rejected("has a port that is not a number from 1 to 65535")
    port = int(text)
    if (port < 1024 and port not in DEFAULT_PORTS.values()) or port in FORBIDDEN_PORTS:
        raise _rejected(
            f"uses port {port}; allowed are 80, 443 and 1024 to 65535 "
            "without the ports of databases, brokers and the like"
        )
    return port


def _parse_host(text: str) -> tuple[str, bool]:
    """Return the host as ASCII, and whether it is an address."""
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1])), True
        except ValueError as error:
            raise _rejected("has a malformed IPv6 address as its host") from error
    host = text.translate(_ASCII_LOWER)
    if not host:
        raise _rejected("has no host")
    if host.endswith("."):
        raise _rejected("has a host that ends in a dot")
    if not host.isascii():
        host = _to_ascii(host)
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _parse_ipv4(host), True
    if len(host) > MAX_HOST_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        raise _rejected("has a malformed host name")
    _check_punycode(labels)
    return host, False


def _parse_ipv4(host: str) -> str:
    try:
        return str(IPv4Address(host))
    except ValueError as error:
        # 127.1, 2130706433, 0x7f000001 and 0177.0.0.1 are loopback to getaddrinfo.
        raise _rejected(
            "has a number as its host that is not an IPv4 address of four decimal parts"
        ) from error


def _to_ascii(host: str) -> str:
    """Return an internationalised host in ASCII, without any mapping.

    Mapping (UTS 46) turns ``①②⑦.⓪.⓪.①`` into 127.0.0.1; IDNA 2008 alone refuses it.
    """
    try:
        return idna.encode(host, strict=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise _rejected("has a host that is not a valid internationalised name") from (
            error
        )


def _check_punycode(labels: list[str]) -> None:
    for label in labels:
        if not label.startswith("xn--"):
            continue
        try:
            valid = idna.alabel(idna.ulabel(label)).decode("ascii") == label
        except (idna.IDNAError, UnicodeError):
            valid = False
        if not valid:
            raise _rejected("has a host that is not a valid internationalised name")


def _normalised_path(path: str) -> str:
    path = path.partition("#")[0]
    if not path.startswith("/"):
        path = "/" + path
    return quote(path, safe=_KEPT)


def _rejected(problem: str) -> TargetRejected:
    return TargetRejected(f"The URL {problem}.", field="url")
