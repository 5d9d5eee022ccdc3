"""Which conversation a mail belongs to: the rules, without a store. Pure.

A signed token or a known Message-ID joins a conversation only if the sender takes part in it. Otherwise the key is
computed from the root of the references and the sender, so that a stranger gets a conversation of their own. A
subject proves nothing, a reference in it neither.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal
from uuid import UUID

from channels.email.letter import Letter, keys, refers_to, stable
from schemas import ids
from schemas.addresses import compared

How = Literal["token", "message_id", "references", "new"]
_TOKEN = re.compile(r"\+([a-z2-7]{26})-([0-9a-f]{20})(?=@|$)")
_TOKEN_ID = re.compile(r"sb\.([a-z2-7]{26})\.([0-9a-f]{20})\.[^@\s]{1,64}@")
_REFERENCE = re.compile(r"[\[#(]\s*([A-Z]{2,5}-\d{1,10})\s*[\])]?")


class Tokens:
    """Signed reply tokens: `help+<conversation>-<tag>@…` in an address, `sb.<conversation>.<tag>.…@` in an id.

    The tag binds the conversation to the recipient, so a token that is passed on is worth nothing to others.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.new(secret, b"switchboard:reply-token", hashlib.sha256).digest()

    def detail(self, conversation_id: str, recipient: str) -> str:
        """What goes behind the `+` of our address. Raises ValueError for an id that is no UUID."""
        short = _short(conversation_id)
        return f"{short}-{self._tag(short, recipient)}"

    def id_prefix(self, conversation_id: str, recipient: str) -> str:
        """How a Message-ID of ours begins, dot included."""
        return f"sb.{self.detail(conversation_id, recipient).replace('-', '.')}."

    def read(self, addresses: Iterable[str], message_ids: Iterable[str], sender: str) -> tuple[str | None, bool]:
        """(the conversation that a good token names, whether a bad one was seen). Compares in constant time."""
        bad = False
        found = [match for each in addresses if (match := _TOKEN.search(each.lower()))]
        found += [match for each in message_ids if (match := _TOKEN_ID.match(each.lower()))]
        for match in found:
            if hmac.compare_digest(match[2], self._tag(match[1], sender)) and (known := _long(match[1])) is not None:
                return known, bad
            bad = True
        return None, bad

    @staticmethod
    def claimed(addresses: Iterable[str]) -> tuple[str, str] | None:
        """(conversation, how our Message-IDs to the same recipient begin), as the first address with a token says,
        whoever has made it. It is proved where a mail of ours is known whose Message-ID begins so."""
        for each in addresses:
            if (match := _TOKEN.search(each.lower())) and (conversation := _long(match[1])) is not None:
                return conversation, f"sb.{match[1]}.{match[2]}."
        return None

    def _tag(self, short: str, recipient: str) -> str:
        return hmac.digest(self._key, f"{short}:{compared(recipient)}".encode(), "sha256").hex()[:20]


@lru_cache(maxsize=1024)
def _short(conversation_id: str) -> str:
    return base64.b32encode(UUID(conversation_id).bytes).decode().rstrip("=").lower()


def _long(short: str) -> str | None:
    try:
        return str(UUID(bytes=base64.b32decode(short.upper() + "======")))
    except (ValueError, binascii.Error):
        return None


def has_token(addresses: Iterable[str], message_ids: Iterable[str]) -> bool:
    """Whether something looks like a token, good or not."""
    return any(_TOKEN.search(each.lower()) for each in addresses) or any(
        _TOKEN_ID.match(each.lower()) for each in message_ids
    )


@dataclass(frozen=True, slots=True)
class Placed:
    key: str
    how: How
    joined: str | None
    """The file of the mail that this one joins."""
    refused: tuple[str, ...] = ()


@dataclass
class _Conversation:
    first: str
    participants: set[str] = field(default_factory=set)
    mentioned: set[str] = field(default_factory=set)


class Threads:
    """Conversations over mails that come one after another, in memory."""

    def __init__(self, account: str, tokens: Tokens | None = None) -> None:
        self._account = account
        self._tokens = tokens
        self._known: dict[str, tuple[str, str]] = {}
        """stable id → (conversation, file)"""
        self._conversations: dict[str, _Conversation] = {}

    def place(self, letter: Letter, file: str) -> Placed:
        """Where the letter belongs; it is known from then on."""
        refused: list[str] = []
        key, how, joined = self._join(letter, refused)
        if key is None:
            # Whoever is not who they say must not compute the id of another's conversation.
            owner = f"forged:{letter.sender}" if letter.failed else letter.sender
            key = ids.conversation_id(self._account, self._root(letter), owner)
            if key in self._conversations:
                how, joined = "references", self._conversations[key].first
            else:
                how, joined = "new", None
        conversation = self._conversations.setdefault(key, _Conversation(file))
        self._enter(conversation, letter)
        for each in keys(letter):
            self._known.setdefault(each, (key, file))
        return Placed(key, how, joined, tuple(dict.fromkeys(refused)))

    def _join(self, letter: Letter, refused: list[str]) -> tuple[str | None, How, str | None]:
        by_token = self._by_token(letter, refused)
        if by_token is not None:
            return by_token, "token", self._conversations[by_token].first
        for each in refers_to(letter):
            if each not in self._known:
                continue
            key, file = self._known[each]
            if why := self._why_not(key, letter, about=bool(letter.about) and each == stable(letter.about or "")):
                refused.append(f"message_id: {why}")
            else:
                return key, "message_id", file
        if found := _REFERENCE.search(letter.subject):
            refused.append(f"subject: {found[1]} is not signed")
        return None, "new", None

    def _by_token(self, letter: Letter, refused: list[str]) -> str | None:
        mentions = (*letter.in_reply_to, *letter.references)
        if self._tokens is None:
            if has_token(letter.recipients, mentions):
                refused.append("token: there is no key to check it")
            return None
        key, bad = self._tokens.read((*letter.recipients, *letter.cc), mentions, letter.sender)
        if bad:
            refused.append("token: not ours, or not this sender's")
        if key is None or key not in self._conversations:
            return None
        if why := self._why_not(key, letter, about=False):
            refused.append(f"token: {why}")
            return None
        return key

    def _why_not(self, key: str, letter: Letter, *, about: bool) -> str:
        """ "" when the letter may join."""
        conversation = self._conversations[key]
        if letter.ours:
            return ""
        if about and set(letter.about_recipients) & conversation.participants:
            return ""
        if letter.failed:
            return "the sender is not who they say"
        if letter.sender and letter.sender in conversation.participants:
            return ""
        if letter.sender in conversation.mentioned:
            return "" if letter.verified else "the sender was in copy and is not verified"
        return "the sender takes no part in it"

    def _enter(self, conversation: _Conversation, letter: Letter) -> None:
        if letter.ours:
            conversation.participants |= set(letter.recipients)
        elif letter.about is None and letter.sender and letter.sender not in conversation.mentioned:
            conversation.participants.add(letter.sender)
        conversation.mentioned |= set(letter.cc) - conversation.participants

    @staticmethod
    def _root(letter: Letter) -> str:
        refs = letter.references or letter.in_reply_to
        return refs[0] if refs else stable(letter.message_id)
