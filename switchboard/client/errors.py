"""What can go wrong for an agent's program."""

from typing import Any


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


class NotThere(Conflict):
    """There is no such work item for you."""


class LeaseLost(Conflict):
    """The work item is no longer yours. It is waiting again, or with somebody else."""


class NewerMessages(Conflict):
    """The customer has written since you looked: `await item.refresh()`, read, and complete again."""

    def __init__(self, message: str, messages: list[dict[str, Any]], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.messages = messages


class BadRequest(SwitchboardClientError):
    """The server does not understand the request."""


def error_of(status: int, answer: Any) -> SwitchboardClientError:
    """The error that a problem document stands for."""
    problem = answer if isinstance(answer, dict) else {}
    detail, hint = str(problem.get("detail", f"status {status}")), str(problem.get("hint", ""))
    if status == 401:
        return Unauthorized(detail, hint=hint or "switchboard agents token NAME makes one")
    if status == 409 and problem.get("code") == "newer-messages":
        return NewerMessages(detail, list(problem.get("messages", [])), hint=hint)
    if status == 409 and problem.get("code") == "lease-lost":
        return LeaseLost(detail, hint=hint)
    if status == 404 and "detail" not in problem:
        return NotThere("no desk answers there", hint="--url names the process that runs the role agents")
    if status == 404:
        return NotThere(
            detail, hint=hint or "take one with `switchboard agents work`, or from GET /api/desk/work-items"
        )
    if status == 409:
        return Conflict(detail, hint=hint)
    places = [f"{each['place'].removeprefix('body.')}: {each['message']}" for each in problem.get("errors", [])[:3]]
    return BadRequest(f"{status}: {'; '.join([detail, *places])}", hint=hint)
