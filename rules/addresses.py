"""How addresses are compared: without case, and a domain by the letters that the DNS knows it by.

What only looks like somebody's address is another one. So an address is split before anything in it is folded, since
folding makes an `@` of U+FF20 and U+FE6B; and a domain keeps its accents, since others may own the one without.
"""

import re

from rules.folding import normal

_DOTS = re.compile("[.\u3002\uff0e\uff61]")
"""RFC 3490 §3.1: what stands between the labels of a domain."""
_BETWEEN_DIGITS = re.compile(r"[\s()./-]+")
_NONE = "\ufffd"
_LABEL = re.compile(r"[a-z0-9_*-]*")


def address_form(written: str) -> str:
    """An address, or its beginning, as it is compared."""
    local, at, domain = written.rpartition("@")
    return f"{normal(local)}@{domain_form(domain)}" if at else normal(written).replace("@", _NONE)


def ending_form(written: str) -> str:
    """The end of an address."""
    return address_form(written) if "@" in written else domain_form(written)


def domain_form(written: str) -> str:
    """A domain, or its end (`.example.org`), as it is compared. What can be none equals itself alone."""
    if written.isascii():
        return normal(written)
    labels = [_label(label) for label in _DOTS.split(written)]
    if None in labels:
        return normal(written).replace(".", _NONE).replace("@", _NONE)
    return ".".join(label for label in labels if label is not None)


def domain_of(written: str) -> str:
    """What stands behind the `@` of an address, as it came; of what has no `@`, all of it."""
    return written.rpartition("@")[2]


def phone_form(written: str) -> str:
    """A phone number without what people put between its digits: `+49 (30) 12-34` is `+49301234`."""
    return _BETWEEN_DIGITS.sub("", normal(written))


def _label(written: str) -> str | None:
    try:
        found = written.strip().encode("idna").decode().lower() if written else ""
    except UnicodeError:
        return None
    return found if _LABEL.fullmatch(found) else None
