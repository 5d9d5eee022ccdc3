"""The applier's functions without a store."""

from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from router.applier import apply
from schemas.delivery import Delivery
from schemas.states import DeliveryState
from tests.kit.contacts import NOW


def test_a_connection_that_is_lost_while_a_delivery_is_applied_stays_a_lost_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clean-up on the broken connection hid the reason: the delivery was taken for poison and set aside."""

    def lost(*_: Any) -> str:
        raise OperationalError("UPDATE", {}, ConnectionResetError())

    monkeypatch.setattr(apply, "_delivered", lost)
    delivery = Delivery(
        id="r:delivery:1",
        reply_id="r",
        conversation_id="c",
        channel="email",
        account="support",
        recipient="ann@example.org",
        state=DeliveryState.SENT,
        attempt=1,
        change=1,
        at=NOW,
    )
    with pytest.raises(OperationalError):
        apply.apply_delivery(None, None, delivery, NOW)  # type: ignore[arg-type]
