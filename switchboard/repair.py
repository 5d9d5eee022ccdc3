"""Giving an interaction another decision: releasing a held one, replaying a dead letter. Raises the round."""

from sqlalchemy.engine import Connection

from schemas.errors import NotFound, StateConflict
from schemas.states import InteractionState
from store import dead_letters, holds, ledger
from switchboard.base import Base
from switchboard.trace import targets

ACTOR = "cli"


async def release(base: Base, identity: str) -> int:
    """Put a held interaction back in front of the router, without the holds of the rules that ever held it. Returns the
    round. `identity`: its id, or a reference under which one is held.

    Raises NotFound, StateConflict.
    """
    now = base.clock.now()
    return await base.database.write(
        lambda conn: holds.release(conn, base.store.outbox, _held(conn, identity), actor=ACTOR, now=now)
    )


def _held(conn: Connection, identity: str) -> str:
    if ledger.standings(conn, [identity]):
        return identity
    known = ledger.standings(conn, [interaction_id for interaction_id, _ in targets(conn, identity)])
    held = sorted(standing.id for standing in known.values() if standing.state is InteractionState.HELD)
    if not held:
        raise StateConflict(f"nothing of {identity} is held", hint="switchboard interactions list --state held")
    if len(held) > 1:
        raise StateConflict(f"{len(held)} of {identity} are held: name one by its id", hint=", ".join(held))
    return held[0]


async def replay(base: Base, letter_id: str) -> str:
    """Have a dead letter decided again. Returns what happened in words. Raises NotFound, StateConflict."""
    now = base.clock.now()

    def work(conn: Connection) -> str:
        stored = dead_letters.get(conn, letter_id)
        if stored is None:
            raise NotFound(f"no dead letter {letter_id!r}", hint="switchboard dead-letters list")
        if stored.state != "open":
            raise StateConflict(f"dead letter {letter_id} is {stored.state}")
        interaction_id = stored.letter.interaction_id
        if interaction_id is None or not ledger.load(conn, [interaction_id]):
            raise StateConflict(
                f"dead letter {letter_id} holds bytes that gave no interaction",
                hint="look at them with `dead-letters show`; bring them in again by their channel, then discard",
            )
        frm = InteractionState.DEAD_LETTER
        round_ = holds.decide_again(conn, base.store.outbox, interaction_id, frm, actor=ACTOR, now=now)
        dead_letters.settle(conn, letter_id, "replayed")
        return f"interaction {interaction_id} is decided again, round {round_}"

    return await base.database.write(work)


async def discard(base: Base, letter_id: str) -> None:
    """Close a dead letter for good; its interaction is closed as canceled. Raises NotFound, StateConflict."""
    now = base.clock.now()

    def work(conn: Connection) -> None:
        stored = dead_letters.get(conn, letter_id)
        if stored is None:
            raise NotFound(f"no dead letter {letter_id!r}", hint="switchboard dead-letters list")
        if not dead_letters.settle(conn, letter_id, "discarded"):
            raise StateConflict(f"dead letter {letter_id} is {stored.state}")
        if stored.letter.interaction_id:
            ledger.move(
                conn,
                [stored.letter.interaction_id],
                InteractionState.CLOSED,
                frm=[InteractionState.DEAD_LETTER],
                actor=ACTOR,
                at=now,
                reason="canceled",
            )

    await base.database.write(work)
