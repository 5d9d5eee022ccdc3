"""Pushes replies from the delivery ledger to the sockets that this process holds, again until they are acked."""

import asyncio
from collections.abc import Callable

from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.looping import Looping
from schemas.errors import TemporaryError
from schemas.reply import Reply
from schemas.states import DeliveryState
from store import deliveries
from store.store import Store

POLL_S = 1.0
PAUSE_S = 0.03
"""Commits that come together are looked at together."""
RESEND_S = 5.0

log = get_logger(__name__)
Listener = Callable[[Reply], None]


class ChatPush(Looping):
    """Service. A socket subscribes for its session; several sockets of one session all get the replies."""

    name = "chat push"

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._listeners: dict[str, dict[Listener, dict[str, float]]] = {}
        self._wake = asyncio.Event()

    async def start(self) -> None:
        self._store.database.on_commit(self._wake.set, "deliveries")
        await super().start()

    def subscribe(self, session_id: str, listener: Listener) -> None:
        self._listeners.setdefault(session_id, {})[listener] = {}
        self._wake.set()

    def unsubscribe(self, session_id: str, listener: Listener) -> None:
        mine = self._listeners.get(session_id, {})
        mine.pop(listener, None)
        if not mine:
            self._listeners.pop(session_id, None)

    async def acknowledged(self, session_id: str, reply_id: str) -> None:
        """The visitor's program has shown the reply. Raises StoreUnavailable."""
        now = self._clock.now()
        await self._store.database.write(
            lambda conn: deliveries.finish(
                conn,
                self._store.outbox,
                reply_id,
                session_id,
                DeliveryState.SENT,
                frm=[DeliveryState.PENDING],
                now=now,
                detail="shown to the visitor",
            )
        )

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
                await asyncio.sleep(PAUSE_S)
            except TimeoutError:
                pass
            self._wake.clear()
            if not self._listeners:
                continue
            sessions = list(self._listeners)
            try:
                waiting = await self._store.database.look(
                    lambda conn, s=sessions: deliveries.for_sessions(conn, "chat", s)  # type: ignore[misc]
                )
            except TemporaryError as error:
                log.warning("paused", service=self.name, error=str(error))
                continue
            for session_id, replies in waiting.items():
                self._deliver(session_id, replies)

    def _deliver(self, session_id: str, replies: list[Reply]) -> None:
        now = self._clock.monotonic()
        for listener, pushed in list(self._listeners.get(session_id, {}).items()):
            for reply in replies:
                if now - pushed.get(reply.id, float("-inf")) >= RESEND_S:
                    pushed[reply.id] = now
                    listener(reply)
