"""Signed values: nobody can make, change, move or keep one."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from runtime.signing import Signer
from tests.kit.contacts import NOW

LATER = NOW + timedelta(hours=1)
SIGNER = Signer(b"secret", "chat:website")


@given(st.text(max_size=50))
def test_what_was_signed_is_read(value: str) -> None:
    value = value.encode("utf-8", "replace").decode()
    assert SIGNER.verify(SIGNER.sign(value, LATER), NOW) == value


def test_it_expires() -> None:
    token = SIGNER.sign("v", LATER)
    assert SIGNER.verify(token, LATER - timedelta(seconds=1)) == "v"
    assert SIGNER.verify(token, LATER) is None


def test_it_is_worth_nothing_elsewhere() -> None:
    token = SIGNER.sign("v", LATER)
    assert Signer(b"secret", "chat:other").verify(token, NOW) is None
    assert Signer(b"other", "chat:website").verify(token, NOW) is None


@given(st.data())
def test_no_other_token_gives_another_value(data: st.DataObject) -> None:
    token = SIGNER.sign("session", LATER)
    at = data.draw(st.integers(0, len(token) - 1))
    char = data.draw(st.characters())
    changed = token[:at] + char + token[at + 1 :]
    assert SIGNER.verify(changed, NOW) in (None, "session")


@given(st.text(max_size=200))
def test_nonsense_is_no_token(token: str) -> None:
    assert SIGNER.verify(token, NOW) is None
