"""The client library: an agent, human or program, as a consumer of the queue.

It speaks the desk's HTTP API and imports nothing of the server.

    async with QueueConsumer("http://127.0.0.1:8080", token) as queue:
        async for item in queue:
            print(item.messages[-1].text)
            await item.complete("Thank you, done.")

A lost response never makes a second reply: the client makes a key per reply and repeats the request under it.
"""

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

TIMEOUT_S = 20.0
POLL_S = 1.0
RETRY_CAP_S = 5.0
GIVE_UP_S = 120.0


class SwitchboardClientError(Exception):
    """Base error. `temporary`: the same call may succeed later. `hint` says what to do."""

    temporary = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Unreachable(SwitchboardClientError):
    """Switchboard did not answer for two minutes."""

    temporary = True


class Unauthorized(SwitchboardClientError):
    """The token is not valid: make one with `switchboard agents token NAME`."""


class Conflict(SwitchboardClientError):
    """The work item is not as it was: it is taken, finished, or cannot be answered in writing."""


class LeaseLost(Conflict):
    """The work item is no longer yours. It is waiting again, or with somebody else."""


class NewerMessages(Conflict):
    """The customer has written since you looked: `await item.refresh()`, read, and complete again."""

    def __init__(self, message: str, messages: list[dict[str, Any]], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.messages = messages


class BadRequest(SwitchboardClientError):
    """The server does not understand the request."""


@dataclass(frozen=True, slots=True)
class Message:
    """What the customer wrote. `verdict`: verified, failed or unknown."""

    seq: int
    text: str
    subject: str
    sender: str
    sender_name: str
    verdict: str
    at: datetime
    why: tuple[str, ...] = ()


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

    _queue: "QueueConsumer" = field(repr=False)
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

    @property
    def text(self) -> str:
        """The customer's latest words."""
        return self.messages[-1].text if self.messages else ""

    @property
    def why(self) -> tuple[str, ...]:
        """Why it is here, in words: tier, target, rules, and what went wrong before."""
        own = (self.reason,) if self.reason else ()
        return (*own, *(self.messages[-1].why if self.messages else ()))

    async def reply(self, text: str) -> None:
        """Answer what you have seen, and keep the item. Raises LeaseLost, Conflict."""
        await self._queue.call(
            "POST",
            self._path("reply"),
            {"epoch": self.epoch, "key": uuid.uuid4().hex, "text": text, "answers_through": self.highest_seq},
        )

    async def complete(self, text: str | None = None, *, disposition: str = "no_answer_needed") -> None:
        """Finish, with a last reply or without. Raises NewerMessages (then nothing was sent), LeaseLost."""
        body: dict[str, Any] = {
            "epoch": self.epoch,
            "answers_through": self.highest_seq,
            "disposition": disposition,
        }
        if text is not None:
            body.update(text=text, key=uuid.uuid4().hex)
        await self._queue.call("POST", self._path("complete"), body)
        self._queue.forget(self)

    async def release(self) -> None:
        """Give it back; it keeps its place in line."""
        await self._queue.call("POST", self._path("release"), {"epoch": self.epoch})
        self._queue.forget(self)

    async def refresh(self) -> None:
        """Read the conversation again."""
        fresh = _item(self._queue, await self._queue.call("GET", self._path("")))
        self.messages, self.answers, self.highest_seq = fresh.messages, fresh.answers, fresh.highest_seq
        self.tier, self.deadline, self.reason = fresh.tier, fresh.deadline, fresh.reason

    async def renew(self) -> None:
        """Say that you are still at it; done for you while the consumer is open."""
        await self._queue.call("POST", self._path("renew"), {"epoch": self.epoch})

    def _path(self, verb: str) -> str:
        return f"/work-items/{quote(self.id, safe='')}" + (f"/{verb}" if verb else "")


class QueueConsumer:
    """Takes work items one after another. `token` defaults to the environment's SWITCHBOARD_TOKEN.

    Iterating never ends by itself; connection losses are waited out. Raises Unauthorized, Unreachable.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/") + "/api/desk"
        self._token = token or os.environ.get("SWITCHBOARD_TOKEN", "")
        if not self._token:
            raise Unauthorized("no token", hint="pass one, or set SWITCHBOARD_TOKEN")
        self._held: dict[str, WorkItem] = {}
        self._session: aiohttp.ClientSession | None = None
        self._heartbeat: asyncio.Task[None] | None = None
        self._heartbeat_s = 10.0
        self.name = ""
        """The agent that the token belongs to."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token}"}, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
        )
        try:
            me = await self.call("GET", "/me")
        except BaseException:
            await self._session.close()
            raise
        self.name, self._heartbeat_s = me["name"], me["heartbeat_s"]
        self._heartbeat = asyncio.create_task(self._renew_all(), name=f"switchboard heartbeat {self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.gather(self._heartbeat, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def __aiter__(self) -> AsyncIterator[WorkItem]:
        while True:
            item = await self.next()
            if item is not None:
                yield item
            else:
                await asyncio.sleep(POLL_S * random.uniform(0.5, 1.0))  # noqa: S311 - only to not all ask at once

    async def next(self) -> WorkItem | None:
        """Accept the next work item; None when nothing waits."""
        found = await self.call("POST", "/work-items/next")
        if found is None:
            return None
        item = _item(self, found)
        self._held[item.id] = item
        return item

    async def accept(self, item_id: str) -> WorkItem:
        """Accept this work item. Raises Conflict when somebody else has it."""
        item = _item(self, await self.call("POST", f"/work-items/{quote(item_id, safe='')}/accept"))
        self._held[item.id] = item
        return item

    async def waiting(self) -> list[dict[str, Any]]:
        """What waits, in the order in which it is handed out."""
        line = await self.call("GET", "/work-items")
        return list(line["waiting"])

    async def run(self, handle: Callable[[WorkItem], Awaitable[None]], *, concurrency: int = 1) -> None:
        """Hand every item to `handle`, `concurrency` at a time, until cancelled.

        What `handle` neither completes nor releases, or fails on, is released.
        """

        async def worker() -> None:
            async for item in self:
                try:
                    await handle(item)
                except SwitchboardClientError as error:
                    if isinstance(error, Unauthorized):
                        raise
                finally:
                    if item.id in self._held:
                        try:
                            await item.release()
                        except SwitchboardClientError:
                            self.forget(item)  # the lease brings it back

        async with asyncio.TaskGroup() as group:
            for number in range(concurrency):
                group.create_task(worker(), name=f"switchboard worker {number}")

    def forget(self, item: WorkItem) -> None:
        """Stop renewing an item's lease."""
        self._held.pop(item.id, None)

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One API call, repeated while the server is away: every call is safe to repeat."""
        if self._session is None:
            raise RuntimeError("use `async with QueueConsumer(…)`")
        loop = asyncio.get_running_loop()
        give_up, attempt = loop.time() + GIVE_UP_S, 0
        while True:
            try:
                async with self._session.request(method, self._url + path, json=body) as response:
                    if response.status == 204:
                        return None
                    answer = await response.json(content_type=None)
                    if response.status < 300:
                        return answer
                    if response.status not in (429, 502, 503, 504):
                        raise _error(response.status, answer)
                    problem = f"{response.status} {answer.get('detail', '') if isinstance(answer, dict) else ''}"
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                problem = f"{type(error).__name__}: {error}"
            if loop.time() > give_up:
                raise Unreachable(f"{self._url}: {problem}", hint="is Switchboard running, and the address right?")
            wait = min(RETRY_CAP_S, 0.1 * 2.0 ** min(attempt, 10))
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311
            attempt += 1

    async def _renew_all(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            for item in list(self._held.values()):
                try:
                    await item.renew()
                except Conflict:
                    self.forget(item)  # the holder learns it from the next call
                except SwitchboardClientError:
                    continue


def _error(status: int, answer: Any) -> SwitchboardClientError:
    problem = answer if isinstance(answer, dict) else {}
    detail, hint = str(problem.get("detail", f"status {status}")), str(problem.get("hint", ""))
    if status == 401:
        return Unauthorized(detail, hint=hint or "switchboard agents token NAME makes one")
    if status == 409 and problem.get("code") == "newer-messages":
        return NewerMessages(detail, list(problem.get("messages", [])), hint=hint)
    if status == 409 and problem.get("code") == "lease-lost":
        return LeaseLost(detail, hint=hint)
    if status in (404, 409):
        return Conflict(detail, hint=hint)
    return BadRequest(f"{status}: {detail}", hint=hint)


def _item(queue: QueueConsumer, found: dict[str, Any]) -> WorkItem:
    item, messages = found["item"], found["messages"]
    latest = messages[-1] if messages else {}
    return WorkItem(
        queue,
        id=item["id"],
        epoch=item["epoch"],
        reference=item["reference"],
        channel=item["channel"],
        customer=latest.get("sender_name") or latest.get("sender", ""),
        subject=item["subject"],
        queue=item["queue"],
        tier=item["tier"],
        deadline=datetime.fromisoformat(item["deadline"]),
        reason=item["reason"],
        messages=tuple(
            Message(
                seq=m["seq"],
                text=m["text"],
                subject=m["subject"],
                sender=m["sender"],
                sender_name=m["sender_name"],
                verdict=m["verdict"],
                at=datetime.fromisoformat(m["at"]),
                why=tuple(m["why"]),
            )
            for m in messages
        ),
        answers=tuple(
            Answer(
                text=a["text"],
                author=a["author"],
                automatic=a["automatic"],
                delivery=a["delivery"],
                at=datetime.fromisoformat(a["at"]),
            )
            for a in found["answers"]
        ),
        highest_seq=found["highest_seq"],
    )
