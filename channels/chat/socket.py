"""The WebSocket that a visitor's program speaks.

Visitor: `hello` (once, first), `message`, `ack`. We: `welcome`, `accepted`, `reply` (until acked), `busy`, `error`.
A message is `accepted` only when it is on disk; the visitor's program sends it again otherwise, under the same id.
"""

import asyncio
import contextlib
import secrets
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from channels.chat.parse import Ack, BadFrame, Hello, Message, contact_of, parse_frame
from channels.chat.push import ChatPush
from channels.chat.settings import ChatSettings
from channels.port import Context
from runtime.http.limits import TokenBuckets
from runtime.logs import get_logger
from runtime.signing import Signer
from schemas import ids
from schemas.errors import TemporaryError
from schemas.reply import Reply
from store import ledger, replies
from store.intake import Arrival

HELLO_TIMEOUT_S = 15.0
IDLE_TIMEOUT_S = 30 * 60.0
SEND_TIMEOUT_S = 15.0
MAX_BAD_FRAMES = 10
OUTBOX_FRAMES = 200
HISTORY = 100
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013

log = get_logger(__name__)


class ChatSocket:
    """One connection of one visitor."""

    def __init__(
        self,
        socket: WebSocket,
        context: Context,
        account: str,
        settings: ChatSettings,
        push: ChatPush,
        buckets: TokenBuckets,
    ) -> None:
        self._socket = socket
        self._context = context
        self._account = account
        self._settings = settings
        self._push = push
        self._buckets = buckets
        self._signer = Signer(context.secret, f"chat:{account}")
        self._out: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=OUTBOX_FRAMES)
        self._pushed: set[str] = set()
        self._session = ""
        self._page = ""
        self._bad = 0

    async def serve(self) -> None:
        """Until either side goes away."""
        await self._socket.accept()
        writer: asyncio.Task[None] | None = None
        try:
            if not await self._greet():
                return
            writer = asyncio.create_task(self._write(), name=f"chat.write {self._session[:8]}")
            self._push.subscribe(self._session, self._reply)
            while True:
                async with asyncio.timeout(IDLE_TIMEOUT_S):
                    data = await self._receive()
                await self._handle(parse_frame(data))
        except (WebSocketDisconnect, TimeoutError, RuntimeError):
            pass  # gone, silent for too long, or closed by us
        finally:
            self._push.unsubscribe(self._session, self._reply)
            if writer is not None:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2.0):
                    await self._socket.close()

    async def _receive(self) -> str | bytes:
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code") or 1000)
        return event.get("text") or event.get("bytes") or b""

    async def _greet(self) -> bool:
        """The first frame says who it is; a new visitor gets a session of their own."""
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            frame = parse_frame(await self._receive())
        if not isinstance(frame, Hello):
            detail = frame.detail if isinstance(frame, BadFrame) else "the first frame has to be a hello"
            await self._socket.send_json({"type": "error", "detail": detail})
            await self._socket.close(POLICY_VIOLATION)
            return False
        now = self._context.clock.now()
        known = self._signer.verify(frame.session, now) if frame.session else None
        self._session = known or secrets.token_hex(16)
        self._page = frame.page
        try:
            history = await self._history() if known else []
        except TemporaryError:
            await self._socket.send_json({"type": "busy", "retry_after": 2})
            await self._socket.close(TRY_AGAIN_LATER)
            return False
        token = self._signer.sign(self._session, now + self._settings.session_lifetime)
        await self._socket.send_json({"type": "welcome", "session": token, "history": history})
        return True

    async def _handle(self, frame: Hello | Message | Ack | BadFrame) -> None:
        match frame:
            case Message():
                await self._accept(frame)
            case Ack():
                if frame.id in self._pushed:
                    with contextlib.suppress(TemporaryError):  # then it is pushed and acked once more
                        await self._push.acknowledged(self._session, frame.id)
            case Hello():
                self._put({"type": "error", "detail": "hello was said already"})
            case BadFrame():
                self._bad += 1
                self._put({"type": "error", "detail": frame.detail})
                if self._bad > MAX_BAD_FRAMES:
                    await self._socket.close(POLICY_VIOLATION)

    async def _accept(self, message: Message) -> None:
        wait = self._buckets.take(self._session)
        if wait > 0:
            self._put({"type": "busy", "id": message.id, "retry_after": round(wait, 1)})
            return
        now = self._context.clock.now()
        contact = contact_of(
            message,
            account=self._account,
            session_id=self._session,
            page=self._page,
            queue=self._settings.queue,
            received_at=now,
        )
        arrival = Arrival(contact=contact, raw=message.model_dump_json().encode(), media_type="application/json")
        try:
            got = await self._context.store.intake.accept(arrival, now)
        except TemporaryError as error:
            log.warning("a chat message has to wait", error=str(error))
            self._put({"type": "busy", "id": message.id, "retry_after": 2})
            return
        self._put({"type": "accepted", "id": message.id, "reference": got.reference, "seq": got.seq})

    def _reply(self, reply: Reply) -> None:
        self._pushed.add(reply.id)
        self._put({"type": "reply", **_shown(reply)})

    def _put(self, frame: dict[str, Any]) -> None:
        """A visitor who does not read is not waited for: what was not acked comes again later."""
        with contextlib.suppress(asyncio.QueueFull):
            self._out.put_nowait(frame)

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError, OSError):
            while True:
                frame = await self._out.get()
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._socket.send_json(frame)

    async def _history(self) -> list[dict[str, Any]]:
        conversation = ids.conversation_id(self._account, self._session, "chat")
        database = self._context.store.database
        written = await database.read(lambda conn: ledger.of_conversation(conn, conversation))
        answered = await database.read(lambda conn: replies.of_conversation(conn, conversation))
        lines = [
            (i.accepted_at, {"type": "message", "text": i.text, "at": i.accepted_at.isoformat(), "seq": i.seq})
            for _, i in written
            if i is not None
        ]
        lines += [(reply.created_at, {"type": "reply", **_shown(reply)}) for reply in answered]
        return [line for _, line in sorted(lines, key=lambda pair: pair[0])][-HISTORY:]


def _shown(reply: Reply) -> dict[str, Any]:
    return {
        "id": reply.id,
        "text": reply.text,
        "author": {"kind": reply.author.kind, "name": reply.author.name if reply.author.kind == "agent" else ""},
        "automatic": reply.automatic,
        "at": reply.created_at.isoformat(),
    }
