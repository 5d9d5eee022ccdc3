"""Exit statuses, and how errors are shown: 0 ok · 1 findings · 2 usage or configuration · 3 dependency
unreachable (a retry helps) · 4 not found."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from schemas.errors import ConfigError, NotFound, StateConflict, SwitchboardError, is_temporary

if TYPE_CHECKING:
    from switchboard.client.errors import SwitchboardClientError

OK, FINDINGS, USAGE, UNREACHABLE, NOT_FOUND = range(5)


def status_of(error: SwitchboardError) -> int:
    if isinstance(error, NotFound):
        return NOT_FOUND
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, StateConflict):
        return FINDINGS
    return UNREACHABLE if is_temporary(error) else FINDINGS


def _of_client(error: Exception) -> "SwitchboardClientError | None":
    """The same error, if it is the client library's, which most commands have no need to load."""
    if "switchboard.client" not in sys.modules:
        return None
    from switchboard.client.errors import SwitchboardClientError

    return error if isinstance(error, SwitchboardClientError) else None


def _client_status(error: "SwitchboardClientError") -> int:
    from switchboard.client.errors import Conflict, NotThere

    if error.temporary:
        return UNREACHABLE
    if isinstance(error, NotThere):
        return NOT_FOUND
    return FINDINGS if isinstance(error, Conflict) else USAGE


@contextmanager
def shown() -> Iterator[None]:
    """An error on purpose becomes its words, its hint and its status; a bug keeps its traceback."""
    try:
        yield
    except SwitchboardError as error:
        _say(error.problems if isinstance(error, ConfigError) else [str(error)], error.hint)
        sys.exit(status_of(error))
    except Exception as error:
        if (known := _of_client(error)) is None:
            raise
        _say([str(known)], known.hint)
        sys.exit(_client_status(known))
    except KeyboardInterrupt:
        sys.exit(130)


def _say(lines: Iterable[str], hint: str) -> None:
    console = Console(stderr=True)
    for line in lines:
        console.print(f"[red]✗[/] {escape(line)}", soft_wrap=True)
    if hint:
        console.print(f"  [dim]{escape(hint)}[/]", soft_wrap=True)
