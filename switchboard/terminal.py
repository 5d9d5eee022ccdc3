"""`switchboard agents work`: the queue in a terminal. Works in a pipe as well, a command a line."""

import asyncio
import contextlib
import os
import sys
import threading
from datetime import UTC, datetime

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from switchboard.client import Answer, Conflict, Message, NewerMessages, QueueConsumer, WorkItem

HELP = (
    "[b]r[/] reply and keep   [b]c[/] complete with a reply   [b]s[/] no answer needed"
    "   [b]b[/] give back   [b]q[/] quit"
)


async def work(url: str, token: str) -> None:
    """Until the agent quits or the input ends. What is open then is given back."""
    console = Console()
    console.print(f"Asking {url} …")
    keyboard = Keyboard()
    async with QueueConsumer(url, token) as queue:
        console.print(f"Signed in as [b]{queue.name}[/]. Waiting for work …")
        async for item in queue:
            try:
                if not await _Work(console, keyboard, item).until_done():
                    console.print("Given back.")
                    return
            except Conflict as error:
                queue.forget(item)
                console.print(f"[red]{error}[/] {error.hint}")
            console.print("Waiting for work …")


class Keyboard:
    """Lines from the keyboard or a pipe.

    They are read by a thread that nobody waits for, straight from the descriptor: asyncio.to_thread would keep
    Ctrl-C waiting for Enter, and a lock of sys.stdin's could not be taken back at the end.
    """

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name="switchboard keyboard", daemon=True).start()

    async def line(self, prompt: str) -> str | None:
        """A line without blanks around it; None at the end of the input."""
        if sys.stdin.isatty():
            sys.stdout.write(prompt)
            sys.stdout.flush()
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)  # the end stays the end
        return line

    def _read(self) -> None:
        rest, fd = b"", sys.stdin.fileno()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            while data := os.read(fd, 65536):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._say(line.decode(errors="replace").strip())
            if rest:
                self._say(rest.decode(errors="replace").strip())
            self._say(None)

    def _say(self, line: str | None) -> None:
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)


class _Work:
    """One work item, from its first look to its end."""

    def __init__(self, console: Console, keyboard: Keyboard, item: WorkItem) -> None:
        self._console, self._keyboard, self._item = console, keyboard, item
        self._draft = ""

    async def until_done(self) -> bool:
        """False: the agent quits."""
        _show(self._console, self._item)
        while True:
            self._console.print(HELP)
            command = await self._keyboard.line("> ")
            if command is None or command.lower() == "q":
                await self._item.release()
                return False
            try:
                if await self._do(command.lower()):
                    return True
            except NewerMessages as error:
                self._console.print(f"[yellow]Not sent: {error}[/]")
                await self._again()

    async def _do(self, command: str) -> bool:
        """True: the item is done with."""
        match command:
            case "b":
                await self._item.release()
                self._console.print("Given back.")
                return True
            case "s":
                await self._item.complete()
                self._console.print("[green]Completed.[/]")
                return True
            case "c" if self._item.channel == "phone_log":
                await self._item.complete()
                self._console.print("[green]Called back and completed.[/]")
                return True
            case "c":
                if not await self._write():
                    self._console.print("No answer was given. [b]s[/] completes without one.")
                    return False
                await self._item.complete(self._draft)
                self._console.print("[green]Sent and completed.[/]")
                return True
            case "r":
                if not await self._write():
                    self._console.print("No answer was given.")
                    return False
                await self._item.reply(self._draft)
                self._draft = ""
                self._console.print("[green]Sent.[/]")
                await self._again()
            case _:
                self._console.print("There is no such command.")
        return False

    async def _write(self) -> bool:
        """Have an answer written, or keep the one that was not sent. False: there is none."""
        kept = ", Enter: what was not sent" if self._draft else ""
        line = await self._keyboard.line(f"Your answer (\\ at the end of a line: it goes on{kept}): ")
        written = []
        while line and line.endswith("\\"):
            written.append(line[:-1].rstrip())
            line = await self._keyboard.line("… ")
        self._draft = "\n".join([*written, line or ""]).strip() or self._draft
        return bool(self._draft)

    async def _again(self) -> None:
        await self._item.refresh()
        _show(self._console, self._item)


def _show(console: Console, item: WorkItem) -> None:
    left = item.deadline - datetime.now(UTC)
    hours, minutes = divmod(int(abs(left).total_seconds() // 60), 60)
    span = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    due = f"due in {span}" if left.total_seconds() >= 0 else f"overdue by {span}"
    body = Text()
    everything: list[Message | Answer] = [*item.messages, *item.answers]
    for said in sorted(everything, key=lambda said: said.at):
        if isinstance(said, Message):
            body.append(f"{said.sender_name or said.sender or 'customer'} ", "bold cyan")
            kind = "internal note" if said.is_note else said.automatic.replace("_", " ") or said.verdict
            body.append(f"{said.at.astimezone():%H:%M} {kind}\n", "dim")
        else:
            body.append(f"{said.author} ", "bold green")
            body.append(f"{said.at.astimezone():%H:%M} {said.delivery}\n", "dim")
        body.append(f"{said.text}\n\n")
    body.append("\n".join(item.why), "dim italic")
    console.print(Panel(body, title=f"{item.reference} · {item.channel} · {item.tier} · {due}", title_align="left"))
