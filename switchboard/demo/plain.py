"""What the spectator reads where there is no terminal to draw on: a line for each tenth of the way."""

from rich.console import Console


class PlainProgress:
    def __init__(self) -> None:
        # Its own console: what it says is no part of the picture that may be drawn of the other one.
        self._console = Console(soft_wrap=True, highlight=False)
        self._said = (-1, -1)

    def say(self, words: str) -> None:
        self._console.print(words)

    def tell(self, *, written: int, total: int, read: int, due: int, accepted: int) -> None:
        """Says it when a tenth more has been written, or read."""
        tenths = (10 * written // max(total, 1), 10 * read // max(due, 1))
        if tenths != self._said:
            self._said = tenths
            self.say(f"{written}/{total} customers wrote in, {accepted} accepted, {read}/{due} answers read")
