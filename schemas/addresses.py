"""Mail addresses as they go over the wire, and as mails have them."""

import re

import idna

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)+"')


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


def compared(address: str) -> str:
    """The form in which addresses are compared: whoever writes from `bücher.example` and from `xn--bcher-kva.example`
    is one."""
    return wire_address(address).lower()


def quoted_address(address: str) -> str:
    """`a..b@example.org` → `"a..b"@example.org`: as standards have such a local part (RFC 5321 §4.1.2). Some Japanese
    carriers gave them to their customers."""
    local, at, domain = address.rpartition("@")
    if not local or _DOT_ATOM.fullmatch(local) or _QUOTED.fullmatch(local):
        return address
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"{at}{domain}'
