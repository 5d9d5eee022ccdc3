"""What `channels check` says of the records in the DNS; a server of DNS on the loopback says what is there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from channels.email.settings import EmailSettings
from switchboard.doctor import Finding
from switchboard.mail_records import records, walk

GOOD = {
    "shop.example": ["v=spf1 include:relay.example -all"],
    "_dmarc.shop.example": ["v=DMARC1; p=reject"],
    "k._domainkey.shop.example": ["v=DKIM1; k=rsa; p=TUlHZk1BMEc="],
}
Zone = dict[str, list[str]]


class _Server(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        name = query.question[0].name
        texts = self._zone.get(name.to_text(omit_final_dot=True))
        if texts is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif texts:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *(f'"{text}"' for text in texts)))
        self._transport.sendto(answer.to_wire(), addr)


@pytest.fixture
async def zone(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Zone]:
    """What the one server of names knows: change it at will."""
    known: Zone = dict(GOOD)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Server(known), local_addr=("127.0.0.1", 0))
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.port = transport.get_extra_info("sockname")[1]
    resolver.nameservers = ["127.0.0.1"]
    monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
    try:
        yield known
    finally:
        transport.close()


async def found(address: str = "help@shop.example") -> dict[str, Finding]:
    settings = EmailSettings(address=address, dkim_selector="k")
    return {finding.service.split()[0]: finding for finding in await records("support", settings)}


async def is_wrong(what: str, says: str) -> None:
    """It says so, and what to do."""
    finding = (await found())[what]
    assert not finding.ok
    assert says in finding.detail
    assert finding.hint


async def test_what_is_as_it_should_be(zone: Zone) -> None:
    said = await found()
    (spf,), (policy,), (key,) = GOOD.values()
    assert {what: each.detail for what, each in said.items()} == {"SPF": spf, "DMARC": policy, "DKIM": key}
    assert all(each.ok and not each.hint for each in said.values())


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (None, "has no such record"),
        ([], "has no such record"),
        (["google-site-verification=x"], "has no such record"),
        (["v=spf1 -all"], "nobody may send"),
        (["v=spf1"], "nobody may send"),
        (["v=spf1 ~all include:relay.example"], "nobody may send"),
        (["v=spf1 -ip4:192.0.2.1 ?a exp=why.shop.example ~all"], "nobody may send"),
        (["v=spf1 include:relay.example +all"], "anybody may send"),
        (["v=spf1 inlcude:relay.example -all"], "inlcude:relay.example is nothing that SPF knows"),
        (["v=spf1 a -all", "v=spf1 include:relay.example -all"], "has 2 records: receivers take none"),
        (["V=SPF1;include:relay.example"], "do not read as SPF"),
    ],
)
async def test_spf_that_does_not_let_us_send(zone: Zone, texts: list[str] | None, says: str) -> None:
    zone.pop("shop.example")
    if texts is not None:
        zone["shop.example"] = texts
    await is_wrong("SPF", says)


@pytest.mark.parametrize(
    "text",
    ["v=spf1 a mx/24 -all", "v=spf1 redirect=spf.shop.example", "V=SPF1 +ip4:192.0.2.0/24 ~all", "v=spf1 ip6:2001::1"],
)  # fmt: skip
async def test_spf_that_may_let_us_send(zone: Zone, text: str) -> None:
    zone["shop.example"] = ["another=text", text]
    assert (await found())["SPF"].ok


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["v=DKIM1; p="], "revoked"),
        (["v=DKIM1; k=rsa; p= ;"], "revoked"),
        (["v=DKIM1; k=rsa"], "has no such record"),
        (["v=DKIM1; p=TUlH!"], "no base64"),
        (["v=DKIM2; p=TUlH"], "do not read as DKIM"),
        (["v=DKIM1; p=TUlH", "v=DKIM1; p=TUlI"], "has 2 records"),
    ],
)
async def test_a_key_that_proves_nothing(zone: Zone, texts: list[str], says: str) -> None:
    zone["k._domainkey.shop.example"] = texts
    await is_wrong("DKIM", says)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "has 2 records: receivers take none"),
        (["v=DMARC1; rua=mailto:d@shop.example"], "no p="),
        (["v=DMARC1; p=rejct"], "p=rejct, which is no policy"),
        (["v=dmarc1; p=none"], "do not read as DMARC"),
        (["p=none; v=DMARC1"], "do not read as DMARC"),
    ],
)
async def test_a_policy_that_receivers_do_not_take(zone: Zone, texts: list[str], says: str) -> None:
    zone["_dmarc.shop.example"] = texts
    await is_wrong("DMARC", says)


def without(zone: Zone) -> None:
    del zone["_dmarc.shop.example"]


def with_one_between(zone: Zone) -> None:
    zone["_dmarc.mail.shop.example"] = ["v=DMARC1; p=none"]


def with_one_between_that_says_it_is_the_top(zone: Zone) -> None:
    zone["_dmarc.mail.shop.example"] = ["v=DMARC1; p=none; psd=n"]


def with_one_of_its_own(zone: Zone) -> None:
    zone["_dmarc.eu.mail.shop.example"] = ["v=DMARC1; p=quarantine"]


def under_a_public_suffix(zone: Zone) -> None:
    zone["_dmarc.shop.example"] = ["v=DMARC1; p=reject; psd=y"]
    zone["_dmarc.mail.shop.example"] = ["v=DMARC1; p=none"]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda zone: None, "v=DMARC1; p=reject (of shop.example)"),
        (with_one_between, "v=DMARC1; p=reject (of shop.example)"),
        (with_one_between_that_says_it_is_the_top, "v=DMARC1; p=none; psd=n (of mail.shop.example)"),
        (with_one_of_its_own, "v=DMARC1; p=quarantine"),
        (under_a_public_suffix, "v=DMARC1; p=none (of mail.shop.example)"),
        (without, ""),
    ],
)
async def test_the_policy_of_a_domain_above_counts(zone: Zone, change: Callable[[Zone], None], detail: str) -> None:
    zone["_dmarc.example"] = ["v=DMARC1; p=reject"]  # nobody asks the topmost
    change(zone)
    dmarc = (await found("help@eu.mail.shop.example"))["DMARC"]
    assert dmarc.ok is bool(detail)
    assert dmarc.detail == detail or (not detail and "nor has a domain above it" in dmarc.detail)


def test_the_walk_has_an_end() -> None:
    assert walk("a.shop.example") == ["a.shop.example", "shop.example"]
    assert walk("example") == ["example"]
    assert walk("1.2.3.4.5.6.7.8.shop.example") == [
        "1.2.3.4.5.6.7.8.shop.example",
        *(f"{'.'.join(str(n) for n in range(first, 9))}.shop.example" for first in range(4, 9)),
        "shop.example",
    ]


async def test_without_any_server_nothing_is_said_to_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = []
    monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
    assert all(each.ok and each.detail.startswith("not looked at") for each in (await found()).values())
