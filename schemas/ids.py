"""Deterministic ids: the same contact gets the same id wherever and however often it arrives.

Derived ids are strings built from the parent's id (`<parent>:<step>[:<round>]`), never with a rule, a version,
a time or anything random in them, so that doing a step again gives the same id.
"""

import hashlib
import uuid
from collections.abc import Iterable

NAMESPACE = uuid.UUID("5b1d0c5e-2f0a-5d3c-9a39-6a0f6b7c1e42")
_NAMESPACE = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)


def _uuid(*parts: str) -> str:
    """`uuid.uuid5`, which takes three times as long (RFC 9562 §5.5); a contact needs half a dozen."""
    state = _NAMESPACE.copy()
    # Length prefixes keep ("a", "bc") and ("ab", "c") apart.
    state.update("".join([f"{len(p)}:{p}" for p in parts]).encode())
    octets = bytearray(state.digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    name = octets.hex()
    return f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}"


def interaction_id(channel: str, account: str, native_id: str) -> str:
    return _uuid("interaction", channel, account, native_id)


def colliding_interaction_id(channel: str, account: str, native_id: str, digest: str) -> str:
    """For other content under a native id that is taken: a new item, whose id includes its digest."""
    return _uuid("interaction", channel, account, native_id, digest)


def raw_id(channel: str, account: str, raw: bytes) -> str:
    """For acked bytes that gave no interaction."""
    return _uuid("raw", channel, account, hashlib.sha256(raw).hexdigest())


def conversation_id(account: str, root: str, sender: str) -> str:
    """The same for racing edges; other senders in the same thread get a conversation of their own."""
    return _uuid("conversation", account, root, sender)


def customer_id(kind: str, address: str) -> str:
    return _uuid("customer", kind, address)


def decision_id(interaction: str, round_: int) -> str:
    return f"{interaction}:decision:{round_}"


def auto_reply_id(interaction: str, round_: int) -> str:
    return f"{interaction}:answer:{round_}"


def agent_reply_id(conversation: str, key: str) -> str:
    """`key` is made by the agent's client, so that sending again after a lost response gives the same reply."""
    return f"{conversation}:reply:{_uuid('reply-key', key)}"


def work_item_id(conversation: str, count: int) -> str:
    """The count-th work item of a conversation (from 1)."""
    return f"{conversation}:work:{count}"


def delivery_id(reply: str, change: int, copy_to: str = "") -> str:
    """`copy_to`: the recipient, if it is not the customer."""
    return f"{reply}:copy:{copy_to}:delivery:{change}" if copy_to else f"{reply}:delivery:{change}"


def dedupe_key(channel: str, account: str, native_id: str, digest: str) -> str:
    """Same key = a copy. For mail the account is left out: one mail in two mailboxes is one contact."""
    scope = "" if channel == "email" else account
    return _uuid("dedupe", channel, scope, native_id, digest)


def content_digest(*parts: str | bytes | Iterable[tuple[str, str]]) -> str:
    """SHA-256 over canonical content. Callers leave out trace and transport headers."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            data = part.encode("utf-8", "surrogatepass")
        elif isinstance(part, bytes):
            data = part
        else:
            data = "".join(f"{len(k)}:{k}={len(v)}:{v};" for k, v in sorted(part)).encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()
