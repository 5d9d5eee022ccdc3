"""Which recipients' domains are slow, and what slow ones may hold."""

import asyncio

import pytest

from channels.email.sending import domains as domains_
from channels.email.sending.domains import Domains, NotYet
from channels.email.sending.hand import OF_DOMAIN, OF_SLOW, Hand
from channels.email.settings import SmtpSettings


def domains(connections: int) -> Domains:
    return Domains(SmtpSettings(host="mx.example", tls="none", connections=connections))


async def turns() -> None:
    """So that timers which are due, and those whom they wake, have had their turn."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domains_, "SLOW_S", 0.0)


@pytest.mark.usefixtures("at_once")
async def test_slow_domains_together_leave_one_connection() -> None:
    found, told = domains(3), []
    async with found.turn("x@a.example") as a, found.turn("x@b.example") as b, found.turn("x@c.example") as c:
        for name, turn in zip("abc", (a, b, c), strict=True):
            assert turn.under_way(lambda name=name: told.append(name))  # type: ignore[misc]
        await turns()
        assert told == ["c"], "two of three may be slow ones"
        assert [found.is_slow(f"{name}.example") for name in "abcd"] == [True, True, True, False]


@pytest.mark.usefixtures("at_once")
async def test_a_slow_domain_waits_for_its_share_before_anything_is_begun_until_it_is_quick_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, got = domains(2), asyncio.Event()
    async with found.turn("x@b.example") as turn:
        turn.under_way(lambda: None)
        await turns()

    async def again() -> None:
        async with found.turn("x@b.example") as turn:
            got.set()
            assert turn.under_way(lambda: None)
            monkeypatch.setattr(domains_, "SLOW_S", 60.0)
            turn.ended(took=0.1)

    async with found.turn("x@a.example") as turn:
        turn.under_way(lambda: None)
        await turns()
        waiting = asyncio.ensure_future(again())
        await turns()
        assert (got.is_set(), found.waiting) == (False, 1)
        async with found.turn("x@quick.example"):
            assert not got.is_set()
    await waiting
    assert (got.is_set(), found.waiting) == (True, 0)
    assert (found.is_slow("a.example"), found.is_slow("b.example")) == (True, False)


@pytest.mark.usefixtures("at_once")
async def test_a_domain_that_has_turned_out_slow_gets_no_connection_beyond_the_share() -> None:
    found = domains(2)
    async with found.turn("1@b.example") as known, found.turn("x@a.example") as a:
        a.under_way(lambda: None)
        await turns()
        known._domain.slow = True
        assert not known.under_way(lambda: None)


async def test_one_connection_is_everybodys() -> None:
    found, told = domains(1), []
    async with found.turn("x@a.example") as turn:
        turn._is_slow(lambda: told.append("a"))
        assert (told, found.is_slow("a.example")) == ([], True)


async def test_who_waits_too_long_for_its_domain_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domains_, "PATIENCE_S", 0.0)
    found = domains(2)
    async with asyncio.timeout(5):
        with pytest.raises(NotYet):
            async with found.turn("1@a.example"), found.turn("2@a.example"):
                pass
    assert (found.waiting, found._known["a.example"].places._value) == (0, 1)


def test_of_a_domain_there_is_enough_in_hand_of_a_slow_one_sooner() -> None:
    hand = Hand()
    for n in range(OF_DOMAIN):
        hand.add((f"m{n}", f"x{n}@much.example"))
    for n in range(OF_SLOW):
        hand.add((f"s{n}", f"x{n}@bücher.example"))
        hand.add((f"q{n}", f"x{n}@quick.example"))
    assert hand.full(lambda domain: domain == "xn--bcher-kva.example") == ["bücher.example", "much.example"]
    hand.remove(("m0", "x0@much.example"))
    assert hand.full(lambda _: False) == []
    for place in sorted(hand.places):
        hand.remove(place)
    assert (hand.places, hand._at) == (set(), {})
