"""What the demo draws."""

from io import StringIO

from rich.console import Console

from store.ledger import Balance, ChannelBalance
from switchboard.demo.scene import STATES, ledger_table


def test_the_ledger_fits_a_terminal_of_80_columns_with_every_word_whole() -> None:
    lines = [ChannelBalance(name, 9_999, dict.fromkeys(STATES, 1_428), copies=999) for name in ("phone_log", "chat")]
    console = Console(width=80, file=StringIO())
    with console.capture() as capture:
        console.print(ledger_table(Balance(lines)))
    drawn = capture.get()
    assert "…" not in drawn
    assert all(word in drawn for name in STATES for word in name.split("_"))
