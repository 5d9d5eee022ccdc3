"""Waiting for aiokafka without being drawn into its troubles.

It can hang for ever (aiokafka #1101: send and stop with idempotence and a dead broker), and its stop() can
raise the CancelledError of one of its own tasks, which looks as if *we* had been cancelled. So each of its
calls runs as a task of its own, looked at from outside.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from runtime.logs import get_logger
from schemas.errors import BrokerUnavailable

_T = TypeVar("_T")
_CANCEL_GRACE_S = 0.5

log = get_logger(__name__)


async def bounded(what: str, coro: Coroutine[Any, Any, _T], timeout: float) -> _T:
    """The result within `timeout` seconds. Raises BrokerUnavailable on time-out, else what the call raises."""
    task = asyncio.ensure_future(coro)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
    except asyncio.CancelledError:
        await _drop(task)
        raise
    if not done:
        await _drop(task)
        raise BrokerUnavailable(f"{what}: no answer within {timeout:g} s")
    if task.cancelled():
        raise BrokerUnavailable(f"{what}: given up inside the Kafka client")
    return task.result()


async def let_go(what: str, coro: Coroutine[Any, Any, Any], timeout: float) -> None:
    """As `bounded`, for the end of a client: nothing is raised, trouble is only noted."""
    try:
        await bounded(what, coro, timeout)
    except Exception as error:
        log.debug("client not closed cleanly", client=what, error=repr(error))


async def _drop(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=_CANCEL_GRACE_S)
    if task.done() and not task.cancelled():
        task.exception()  # looked at, so that the loop does not report it
