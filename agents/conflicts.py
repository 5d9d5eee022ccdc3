"""Conflicts of the desk, told apart by a code that programs understand."""

from collections.abc import Awaitable
from typing import TypeVar

from runtime.http.problem import Problem
from schemas.errors import StateConflict
from store import by_hand, desk, uploads, work_items

T = TypeVar("T")


async def ours(call: Awaitable[T]) -> T:
    """The call's result; a conflict becomes a Problem (409; a file that is gone 422)."""
    try:
        return await call
    except desk.NewerMessages as error:
        messages = [{"seq": m.seq, "text": m.text, "id": m.id} for m in error.messages]
        raise Problem(409, str(error), code="newer-messages", hint=error.hint, messages=messages) from None
    except work_items.LeaseLost as error:
        raise Problem(409, str(error), code="lease-lost", hint=error.hint) from None
    except desk.NoSuchSeq as error:
        raise Problem(409, str(error), code="no-such-seq", hint=error.hint) from None
    except desk.KeyReused as error:
        raise Problem(409, str(error), code="key-reused", hint=error.hint) from None
    except desk.NoSuchAnswer as error:
        raise Problem(409, str(error), code="no-written-answer", hint=error.hint) from None
    except uploads.UploadGone as error:
        raise Problem(422, str(error), code="no-such-file", hint=error.hint) from None
    except by_hand.TooLate as error:
        raise Problem(409, str(error), code="too-late", hint=error.hint) from None
    except by_hand.WhichRecipient as error:
        raise Problem(409, str(error), code="which-recipient", hint=error.hint, recipients=error.unknown) from None
    except StateConflict as error:
        raise Problem(409, str(error), code="conflict", hint=error.hint) from None
