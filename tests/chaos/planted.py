"""Runs the `switchboard` command with one bug planted in it: `python -m tests.chaos.planted BUG -- ARGUMENTS…`.

Each bug is a mistake that somebody might make. A checker that lets one of them pass proves nothing.
"""

import asyncio
import sys
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any


def ack_before_confirm() -> None:
    """The router goes on before the broker has confirmed its decisions."""
    import router.hosts.publish as room

    honest = room.publish
    in_hand: set[asyncio.Task[None]] = set()

    async def hasty(*args: Any) -> None:
        async def later() -> None:
            await asyncio.sleep(1.5)
            await honest(*args)

        task = asyncio.create_task(later(), name="planted.publish")
        in_hand.add(task)
        task.add_done_callback(in_hand.discard)

    room.publish = hasty


def retry_after_dot() -> None:
    """A link lost after the final dot counts as a mail that was not sent."""
    import channels.email.sending.sender as room  # it has the function by its name
    from schemas.states import DeliveryState

    honest = room.transfer

    async def hopeful(*args: Any) -> room.Outcome:
        outcome = await honest(*args)
        if outcome.state is DeliveryState.UNKNOWN:
            return room.Outcome(DeliveryState.DEFERRED, outcome.detail)
        return outcome

    room.transfer = hopeful


def no_dedupe() -> None:
    """Every arrival is new."""
    from schemas import ids

    def fresh(*_: object) -> str:
        return str(uuid.uuid4())

    ids.dedupe_key = fresh
    ids.colliding_interaction_id = fresh


def stale_epoch() -> None:
    """A work item is whoever's who says so: neither agent nor epoch is looked at."""
    from store import work_items

    def trusting(conn: Any, item_id: str, *_: object) -> Any:
        return work_items.get(conn, item_id)

    work_items.held = trusting


def publish_out_of_seq() -> None:
    """The relay takes a conversation's latest event first."""
    from bus.relay import Relay

    honest = Relay._lanes

    def backwards(self: Relay, rows: Any) -> Any:
        return {lane: deque(reversed(waiting)) for lane, waiting in honest(self, rows).items()}

    Relay._lanes = backwards  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug for bug in (ack_before_confirm, retry_after_dot, no_dedupe, stale_epoch, publish_out_of_seq)
}


def in_children_too(bug: str) -> None:
    """The router is a child of its own, started by the house: with the same bug."""
    from runtime.processes import Command
    from switchboard.house import House

    honest = House._router_command

    def command(self: House) -> Command:
        found = honest(self)
        argv = list(found.argv)
        at = argv.index("switchboard")
        argv[at : at + 1] = [__spec__.name, bug, "--"]
        return Command(argv, found.env)

    House._router_command = command  # type: ignore[method-assign]


def main(arguments: Sequence[str]) -> None:
    bug, _, *rest = arguments
    BUGS[bug]()
    in_children_too(bug)
    sys.argv = ["switchboard", *rest]
    from switchboard.cli import run

    run()


if __name__ == "__main__":
    main(sys.argv[1:])
