"""A batch that cannot be done as one is done one by one, and only the culprit is set aside."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from bus.dead_letters import bare_letter, whole_letter
from bus.records import Record
from runtime.logs import get_logger
from schemas.dead_letter import DeadLetter
from schemas.errors import TemporaryError

Do = Callable[[Sequence[Record]], Awaitable[None]]
Keep = Callable[[DeadLetter], Awaitable[None]]

log = get_logger(__name__)


async def do_or_set_aside(records: Sequence[Record], do: Do, keep: Keep, now: Callable[[], datetime]) -> None:
    """`do` them together; if that fails, each alone, and `keep` the dead letter of whichever fails even so. Raises
    TemporaryError: nothing is known about what was not done yet."""
    try:
        await do(records)
        return
    except TemporaryError:
        raise
    except Exception:
        log.exception("a batch could not be done as one: one by one now", records=len(records))
    for record in records:
        try:
            await do([record])
        except TemporaryError:
            raise
        except Exception as error:
            log.exception("a record could not be done", topic=record.topic, offset=record.offset)
            await _set_aside(record, f"{type(error).__name__}: {error}", keep, now())


async def _set_aside(record: Record, detail: str, keep: Keep, at: datetime) -> None:
    try:
        await keep(whole_letter(record, "invalid", detail, at=at))
    except TemporaryError:
        raise
    except Exception:  # its partition must not stand still for what the store cannot write
        log.exception("a dead letter could not be written: without headers now", offset=record.offset)
        await keep(bare_letter(record, at=at))
