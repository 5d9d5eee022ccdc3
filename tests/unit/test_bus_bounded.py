import asyncio

import pytest

from bus.bounded import bounded, let_go
from schemas.errors import BrokerUnavailable


async def hang() -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            raise


async def cancelled_inside() -> None:
    raise asyncio.CancelledError  # as aiokafka's stop() does with a dead broker


async def test_what_does_not_answer_is_given_up() -> None:
    with pytest.raises(BrokerUnavailable, match=r"send: no answer within 0.02 s"):
        await bounded("send", hang(), 0.02)
    await let_go("stop", hang(), 0.02)


async def test_a_cancellation_inside_the_client_is_not_ours() -> None:
    with pytest.raises(BrokerUnavailable, match="given up inside"):
        await bounded("stop", cancelled_inside(), 1)
    await let_go("stop", cancelled_inside(), 1)


async def test_our_own_cancellation_goes_through() -> None:
    task = asyncio.create_task(bounded("send", hang(), 30))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_results_and_errors_pass() -> None:
    assert await bounded("x", asyncio.sleep(0, "result"), 1) == "result"
    with pytest.raises(ZeroDivisionError):
        await bounded("x", asyncio.to_thread(lambda: 1 / 0), 1)
