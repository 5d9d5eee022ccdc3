"""Signed, expiring values for one purpose each: chat sessions and status links. HMAC-SHA-256."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

_TAG_BYTES = 16


class Signer:
    """`purpose` separates keys: a token made for one thing is worth nothing for another."""

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._key = hmac.new(secret, f"switchboard:{purpose}".encode(), hashlib.sha256).digest()

    def sign(self, value: str, expires: datetime) -> str:
        """`value` is readable by whoever holds the token, but nobody can make another one."""
        body = f"{int(expires.timestamp())}.{value}".encode()
        return _encode(body + self._tag(body))

    def verify(self, token: str, now: datetime) -> str | None:
        """The signed value; None for a forged, damaged or expired token. Compares in constant time."""
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (ValueError, UnicodeEncodeError):
            return None
        body, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(body)):
            return None
        expires, _, value = body.decode("utf-8").partition(".")
        return value if datetime.fromtimestamp(int(expires), UTC) > now else None

    def _tag(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_TAG_BYTES]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
