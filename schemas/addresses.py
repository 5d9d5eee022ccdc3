"""Mail addresses as they go over the wire, and as mails have them."""

import idna


def wire_address(address: str) -> str:
    """The address with its domain as DNS knows it. A domain that has no such form stays: the relay will say so."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{wire_domain(domain)}"


def wire_domain(domain: str) -> str:
    """IDNA 2008 (UTS 46, non-transitional): `straße.de` is another domain than `strasse.de`, which the codec of the
    standard library takes it for."""
    try:
        return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except UnicodeError:
        return domain
