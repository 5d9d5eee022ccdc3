"""What the spectator sees: one live table, drawn by rich."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from store.ledger import Balance

STATES = ("received", "queued", "answering", "answered", "held", "closed", "dead_letter")
COLOURS = {
    "received": "cyan",
    "queued": "yellow",
    "answering": "blue",
    "answered": "green",
    "held": "magenta",
    "closed": "bright_black",
    "dead_letter": "red",
}


def ledger_table(balance: Balance) -> Table:
    # As narrow as it can be: a terminal has 80 columns.
    table = Table(
        title="The ledger: accepted = the sum of the states",
        title_justify="left",
        padding=(0, 0),
        box=SIMPLE,
        show_edge=False,
    )
    table.add_column("channel", no_wrap=True)
    table.add_column("accepted", justify="right", style="bold")
    for state in STATES:
        table.add_column(state.replace("_", "\n"), justify="right", style=COLOURS[state])
    table.add_column("copies", justify="right", style="dim")
    for line in [*balance.channels, balance.total]:
        if line.channel == "all":
            table.add_section()
        accepted = Text.assemble(f"{line.accepted} ", ("=", "green") if line.balanced else ("≠", "bold red"))
        counts = [str(line.states.get(state, 0) or "·") for state in STATES]
        table.add_row(line.channel, accepted, *counts, str(line.copies or "·"))
    return table


def scene(
    *, balance: Balance, written: int, read: int, due: int, total: int, served: Counter[str], events: Sequence[str]
) -> RenderableType:
    """One frame."""
    progress = Table.grid(padding=(0, 2))
    progress.add_column(justify="right")
    progress.add_column(width=40)
    progress.add_column()
    progress.add_row(
        "customers who wrote in", ProgressBar(total=total, completed=written, width=40), f"{written}/{total}"
    )
    progress.add_row("answers read", ProgressBar(total=due, completed=read, width=40), f"{read}/{due}")
    agents = "   ".join(f"{name} {count}" for name, count in sorted(served.items())) or "taking their seats"
    progress.add_row("work items by agent", agents, "")
    news = Text("\n").join(Text(event) for event in events[-6:])
    return Group(
        Panel(progress, title="Switchboard demo", border_style="cyan"),
        ledger_table(balance),
        Panel(news, title="what just happened", border_style="bright_black", height=8),
    )


def waits_table(waits: Mapping[str, Sequence[float]]) -> Table:
    """Seconds from acceptance to the answer's delivery, by tier."""
    table = Table(title="Waiting time by tier, in seconds", title_justify="left")
    for column in ("tier", "answered", "median", "longest"):
        table.add_column(column, justify="left" if column == "tier" else "right")
    for tier, values in sorted(waits.items()):
        ordered = sorted(values)
        table.add_row(tier, str(len(ordered)), f"{ordered[len(ordered) // 2]:.1f}", f"{ordered[-1]:.1f}")
    return table
