"""What agents type, as it is kept."""

import pytest

from agents.models import address
from schemas.addresses import wire_address


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Bob@Example.net", "bob@example.net"),
        ("bob@xn--strae-oqa.de", "bob@xn--strae-oqa.de"),
        ("bob@straße.de", "bob@xn--strae-oqa.de"),
        ("Bob@STRASSE.de", "bob@strasse.de"),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
    ],
)
def test_an_address_is_kept_as_mails_have_it(typed: str, kept: str) -> None:
    assert address(typed) == kept
    assert wire_address(kept) == kept


@pytest.mark.parametrize("typed", ["bob", "bob@", "bob@-x.de", "bob@a..de", "bob@xn--zz.de\x00"])
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="not a valid email"):
        address(typed)
