"""A work item in an agent's hands."""

import contextlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from switchboard.client.errors import LeaseLost


class Desk(Protocol):
    """What a work item needs of its consumer."""

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any: ...

    async def upload(self, file: Path) -> str: ...

    def forget(self, item: "WorkItem") -> None: ...


@dataclass(frozen=True, slots=True)
class Message:
    """What the customer wrote, or a colleague as a note. `verdict`: verified, failed or unknown."""

    seq: int
    text: str
    subject: str
    sender: str
    sender_name: str
    verdict: str
    at: datetime
    why: tuple[str, ...] = ()
    is_note: bool = False
    automatic: str = ""
    """What a machine wrote: receipt, auto_reply, bounce, …; "" for what a person did."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered before, and what became of it."""

    text: str
    author: str
    automatic: bool
    delivery: str
    at: datetime


@dataclass(slots=True)
class WorkItem:
    """A conversation that is yours until you complete or release it. Its lease is renewed while you hold it."""

    _desk: Desk = field(repr=False)
    id: str
    epoch: int
    reference: str
    channel: str
    customer: str
    subject: str
    queue: str
    tier: str
    deadline: datetime
    reason: str
    messages: tuple[Message, ...]
    answers: tuple[Answer, ...]
    highest_seq: int
    _keys: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str:
        """The customer's latest words."""
        return self.messages[-1].text if self.messages else ""

    @property
    def why(self) -> tuple[str, ...]:
        """Why it is here, in words: tier, target, rules, and what went wrong before."""
        own = (self.reason,) if self.reason else ()
        return (*own, *(self.messages[-1].why if self.messages else ()))

    async def reply(self, text: str, *, files: Iterable[str | Path] = (), cc: Iterable[str] = ()) -> None:
        """Answer what you have seen, and keep the item. A mail takes `files` and further recipients, too. Raises
        LeaseLost, Conflict."""
        body = {"epoch": self.epoch, "key": self._key(text), "text": text, "answers_through": self.highest_seq}
        await self._desk.call("POST", item_path(self.id, "reply"), body | await self._enclosed(files, cc))
        self._keys.pop(text, None)

    async def complete(
        self,
        text: str | None = None,
        *,
        disposition: str = "no_answer_needed",
        files: Iterable[str | Path] = (),
        cc: Iterable[str] = (),
    ) -> None:
        """Finish, with a last reply or without. Raises NewerMessages (then nothing was sent), LeaseLost.

        `disposition`, why there is no answer: no_answer_needed, spam, duplicate_content or canceled.
        """
        body: dict[str, Any] = {"epoch": self.epoch, "answers_through": self.highest_seq, "disposition": disposition}
        if text is not None:
            body.update(text=text, key=self._key(text), **await self._enclosed(files, cc))
        await self._desk.call("POST", item_path(self.id, "complete"), body)
        self._desk.forget(self)

    async def release(self) -> None:
        """Give it back; it keeps its place in line. No error if it is no longer yours."""
        self._desk.forget(self)
        with contextlib.suppress(LeaseLost):  # a release whose response was lost ends here, too
            await self._desk.call("POST", item_path(self.id, "release"), {"epoch": self.epoch})

    async def refresh(self) -> None:
        """Read the conversation again."""
        fresh = item_of(self._desk, await self._desk.call("GET", item_path(self.id)))
        self.messages, self.answers, self.highest_seq = fresh.messages, fresh.answers, fresh.highest_seq
        self.tier, self.deadline, self.reason = fresh.tier, fresh.deadline, fresh.reason

    async def renew(self) -> None:
        """Say that you are still at it; done for you while the consumer is open."""
        await self._desk.call("POST", item_path(self.id, "renew"), {"epoch": self.epoch})

    async def _enclosed(self, files: Iterable[str | Path], cc: Iterable[str]) -> dict[str, Any]:
        return {"files": [{"id": await self._desk.upload(Path(each))} for each in files], "cc": list(cc)}

    def _key(self, text: str) -> str:
        # The same until the server has said yes: who tries again after Unreachable or a timeout of their own
        # gives the customer one answer.
        return self._keys.setdefault(text, uuid.uuid4().hex)


def item_path(item_id: str, verb: str = "") -> str:
    return f"/work-items/{quote(item_id, safe='')}" + (f"/{verb}" if verb else "")


def item_of(desk: Desk, found: dict[str, Any]) -> WorkItem:
    item, messages = found["item"], found["messages"]
    latest = messages[-1] if messages else {}
    return WorkItem(
        desk,
        customer=latest.get("sender_name") or latest.get("sender", ""),
        deadline=datetime.fromisoformat(item["deadline"]),
        messages=tuple(Message(**_kept(m, Message)) for m in messages),
        answers=tuple(Answer(**_kept(a, Answer)) for a in found["answers"]),
        highest_seq=found["highest_seq"],
        **{name: item[name] for name in ("id", "epoch", "reference", "channel", "subject", "queue", "tier", "reason")},
    )


def _kept(found: dict[str, Any], kind: Callable[..., Any]) -> dict[str, Any]:
    """What this version of the library knows; a newer server may say more."""
    kept = {name: found[name] for name in kind.__dataclass_fields__ if name in found}  # type: ignore[attr-defined]
    kept["at"] = datetime.fromisoformat(found["at"])
    if "why" in kept:
        kept["why"] = tuple(kept["why"])
    return kept
