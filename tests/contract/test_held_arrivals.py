"""What an edge holds from the first moment: accepted and counted, decided on by nobody until it is released."""

from types import SimpleNamespace

import pytest
from sqlalchemy import select

from schemas.codec import decode
from schemas.errors import StateConflict
from schemas.interaction import Interaction
from schemas.states import InteractionState
from store import ledger, policies
from store.blobs import Blobs
from store.database import Database
from store.intake import Arrival, Intake
from store.outbox import Outbox
from store.tables import outbox
from switchboard.repair import release
from tests.kit.clock import ManualClock
from tests.kit.contacts import NOW, email


async def test_a_held_arrival_waits_for_its_release_and_is_then_decided_on_once(
    database: Database, tmp_path: object
) -> None:
    out = Outbox(lambda key: 0)
    intake = Intake(database, Blobs(tmp_path), out)  # type: ignore[arg-type]
    await database.write(lambda c: policies.activate(c, "p-test", b"{}", NOW))
    held = Arrival(contact=email(), raw=b"header", media_type="message/rfc822-headers", hold="too_large")
    accepted = await intake.accept(held, NOW)
    assert (await intake.accept(held, NOW)).copy
    standing = (await database.read(lambda c: ledger.standings(c, [accepted.interaction_id])))[accepted.interaction_id]
    assert (standing.state, standing.reason) == (InteractionState.HELD, "too_large")
    assert (await database.read(ledger.balance)).balanced
    assert await database.read(lambda c: c.execute(select(outbox)).all()) == []
    base = SimpleNamespace(database=database, clock=ManualClock(NOW), store=SimpleNamespace(outbox=out))
    assert await release(base, accepted.interaction_id) == 2  # type: ignore[arg-type]
    with pytest.raises(StateConflict):
        await release(base, accepted.interaction_id)  # type: ignore[arg-type]
    (row,) = await database.read(lambda c: c.execute(select(outbox)).all())
    event = decode(tuple((name, value.encode()) for name, value in row.headers), row.value)
    assert isinstance(event, Interaction)
    assert (event.id, event.round) == (accepted.interaction_id, 2)
