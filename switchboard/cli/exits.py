"""Exit statuses, and how errors are shown: 0 ok · 1 findings · 2 usage or configuration · 3 dependency
unreachable (a retry helps) · 4 not found."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from schemas.errors import ConfigError, NotFound, StateConflict, SwitchboardError, is_temporary
from switchboard.client.errors import Conflict, NotThere, SwitchboardClientError

OK, FINDINGS, USAGE, UNREACHABLE, NOT_FOUND = range(5)


def status_of(error: SwitchboardError) -> int:
    if isinstance(error, NotFound):
        return NOT_FOUND
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, StateConflict):
        return FINDINGS
    return UNREACHABLE if is_temporary(error) else FINDINGS


def _client_status(error: SwitchboardClientError) -> int:
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
        console = Console(stderr=True)
        lines = error.problems if isinstance(error, ConfigError) else [str(error)]
        for line in lines:
            console.print(f"[red]✗[/] {escape(line)}", soft_wrap=True)
        if error.hint:
            console.print(f"  [dim]{escape(error.hint)}[/]", soft_wrap=True)
        sys.exit(status_of(error))
    except SwitchboardClientError as error:
        console = Console(stderr=True)
        console.print(f"[red]✗[/] {escape(str(error))}", soft_wrap=True)
        if error.hint:
            console.print(f"  [dim]{escape(error.hint)}[/]", soft_wrap=True)
        sys.exit(_client_status(error))
    except KeyboardInterrupt:
        sys.exit(130)
