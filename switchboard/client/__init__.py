"""The client library: an agent, human or program, as a consumer of the queue.

It speaks the desk's HTTP and WebSocket API and imports nothing of the server.

    async with QueueConsumer("http://127.0.0.1:8080", token) as queue:
        async for item in queue:
            print(item.text)
            await item.complete("Thank you, done.")

A lost response never makes a second reply: the client makes a key per reply and repeats the request under it.
"""

from switchboard.client.consumer import QueueConsumer
from switchboard.client.errors import (
    BadRequest,
    Conflict,
    LeaseLost,
    NewerMessages,
    SwitchboardClientError,
    Unauthorized,
    Unreachable,
)
from switchboard.client.items import Answer, Message, WorkItem

__all__ = [
    "Answer",
    "BadRequest",
    "Conflict",
    "LeaseLost",
    "Message",
    "NewerMessages",
    "QueueConsumer",
    "SwitchboardClientError",
    "Unauthorized",
    "Unreachable",
    "WorkItem",
]
