"""Which addresses a delivery may connect to.

The decision is made on the address that is about to be connected to, never on
a name: a name can be spelled in many ways and can resolve to something else a
moment later.  ``ipaddress.is_global`` and ``is_private`` are not used: they call
NAT64, 6to4, multicast and 192.0.0.192 global on Python 3.11 and answer
differently on 3.13.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: How far the table follows the two IANA special-purpose registries: the newest
#: assignment in it is RFC 9780's, of May 2025.  Compare again when one is made:
#: https://www.iana.org/assignments/iana-ipv4-special-registry and
#: https://www.iana.org/assignments/iana-ipv6-special-registry
REGISTRY_DATE = "2025-05"

#: What is never reached unless the operator allows it: network, why, and where
#: that is written.  The first row that fits names the reason, so the single
#: addresses come first and the catch-all of IPv6 last.
BLOCKED: tuple[tuple[str, str], ...] = (
    # Addresses at which a cloud hands out credentials or configuration.
    ("168.63.129.16/32", "Azure platform service"),  # public space, yet internal
    ("169.254.169.254/32", "cloud metadata"),  # AWS, Google, Azure, OpenStack
    ("169.254.170.2/32", "AWS container credentials"),
    ("100.100.100.200/32", "Alibaba metadata"),
    ("192.0.0.192/32", "Oracle metadata"),
    ("fd00:ec2::254/128", "AWS metadata"),
    # IPv4, in the order of the registry.
    ("0.0.0.0/8", "this network"),  # RFC 791 §3.2; Linux connects to itself
    ("10.0.0.0/8", "private use"),  # RFC 1918
    ("100.64.0.0/10", "shared address space"),  # RFC 6598, carrier-grade NAT
    ("127.0.0.0/8", "loopback"),  # RFC 1122 §3.2.1.3
    ("169.254.0.0/16", "link local"),  # RFC 3927
    ("172.16.0.0/12", "private use"),  # RFC 1918
    ("192.0.0.0/24", "IETF protocol assignments"),  # RFC 6890 §2.1
    ("192.0.2.0/24", "documentation"),  # RFC 5737, TEST-NET-1
    ("192.88.99.0/24", "6to4 relay"),  # RFC 7526, deprecated
    ("192.168.0.0/16", "private use"),  # RFC 1918
    ("198.18.0.0/15", "benchmarking"),  # RFC 2544
    ("198.51.100.0/24", "documentation"),  # RFC 5737, TEST-NET-2
    ("203.0.113.0/24", "documentation"),  # RFC 5737, TEST-NET-3
    ("224.0.0.0/4", "multicast"),  # RFC 1112
    ("255.255.255.255/32", "limited broadcast"),  # RFC 8190, RFC 919 §7
    ("240.0.0.0/4", "reserved"),  # RFC 1112 §4
    # IPv6: what carries an IPv4 address is blocked as a whole, since the
    # translator and not this process decides where it leads.
    ("::1/128", "loopback"),  # RFC 4291 §2.5.3
    ("::/128", "unspecified"),  # RFC 4291 §2.5.2; Linux connects to itself
    ("::/96", "IPv4-compatible"),  # RFC 4291 §2.5.5.1, deprecated
    ("::ffff:0:0:0/96", "IPv4-translated (SIIT)"),  # RFC 2765 §2.1
    ("64:ff9b::/96", "NAT64"),  # RFC 6052
    ("64:ff9b:1::/48", "NAT64, local use"),  # RFC 8215
    ("100::/64", "discard only"),  # RFC 6666
    ("100:0:0:1::/64", "dummy prefix"),  # RFC 9780
    ("2001::/32", "Teredo"),  # RFC 4380
    ("2001::/23", "IETF protocol assignments"),  # RFC 2928; but for GLOBAL_PARTS
    ("2001:db8::/32", "documentation"),  # RFC 3849
    ("2002::/16", "6to4"),  # RFC 3056
    ("3fff::/20", "documentation"),  # RFC 9637
    ("5f00::/16", "segment routing"),  # RFC 9602
    ("fc00::/7", "unique local"),  # RFC 4193
    ("fe80::/10", "link local"),  # RFC 4291 §2.5.6
    ("fec0::/10", "site local"),  # RFC 3879, deprecated
    ("ff00::/8", "multicast"),  # RFC 4291 §2.7
    # Global unicast is 2000::/3 (RFC 4291 §2.4); nothing else is for the internet.
    ("::/3", "not global unicast"),
    ("4000::/2", "not global unicast"),
    ("8000::/1", "not global unicast"),
)

#: The parts of 2001::/23 that the registry calls globally reachable.
GLOBAL_PARTS: tuple[str, ...] = (
    "2001:1::1/128",  # RFC 7723, Port Control Protocol anycast
    "2001:1::2/128",  # RFC 8155, TURN anycast
    "2001:1::3/128",  # RFC 9665, DNS-SD service registration anycast
    "2001:3::/32",  # RFC 7450, AMT
    "2001:4:112::/48",  # RFC 7535, AS112-v6
    "2001:20::/28",  # RFC 7343, ORCHIDv2
    "2001:30::/28",  # RFC 9374, drone remote identification
)

_PROTOCOL_ASSIGNMENTS = ip_network("2001::/23")
_GLOBAL = tuple(ip_network(each) for each in GLOBAL_PARTS)
_BLOCKED = tuple((ip_network(text), f"{why} ({text})") for text, why in BLOCKED)

#: How many different addresses a policy remembers its answer for.
_REMEMBERED = 65_536


@dataclass(frozen=True)
class AddressPolicy:
    """What may be connected to; one is made at start and shared by all threads.

    Args:
        allowed_networks: Networks that may be reached although they are blocked
            by default.
    """

    allowed_networks: tuple[Network, ...] = ()
    _judge: Callable[[str | Address], str | None] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        allowed = self.allowed_networks

        @lru_cache(maxsize=_REMEMBERED)
        def judge(address: str | Address) -> str | None:
            return _reason(address, allowed)

        object.__setattr__(self, "_judge", judge)

    def reason(self, address: str | Address) -> str | None:
        """Return why ``address`` may not be reached, or None if it may.

        It is asked before every request, so answers are remembered: a repeated
        question takes less than a microsecond.

        Args:
            address: As text or parsed; text that is no address is refused.
        """
        return self._judge(address)


def _reason(address: str | Address, allowed: tuple[Network, ...]) -> str | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return "not an address"
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    if mapped is not None:
        # RFC 4291 §2.5.5.2: the kernel sends IPv4 to it.
        why = _reason(mapped, allowed)
        return why and f"IPv4-mapped: {why}"
    if any(parsed in network for network in allowed):
        return None
    if parsed in _PROTOCOL_ASSIGNMENTS and any(parsed in each for each in _GLOBAL):
        return None
    return next((why for network, why in _BLOCKED if parsed in network), None)
