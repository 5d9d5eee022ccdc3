"""`switchboard agents work`: the queue in a terminal. Works in a pipe as well, a command a line."""

import asyncio
import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from switchboard.client import Conflict, NewerMessages, QueueConsumer, WorkItem

HELP = (
    "[b]r[/] reply and keep   [b]c[/] complete with a reply   [b]s[/] no answer needed"
    "   [b]b[/] give back   [b]q[/] quit"
)


async def work(url: str, token: str) -> None:
    """Until the agent quits or the input ends. What is open then is given back."""
    console = Console()
    console.print(f"Asking {url} …")
    async with QueueConsumer(url, token) as queue:
        console.print(f"Signed in as [b]{queue.name}[/]. Waiting for work …")
        while True:
            item = await queue.next()
            if item is None:
                await asyncio.sleep(1.0)
                continue
            try:
                if not await _one(console, item):
                    return
            except Conflict as error:
                console.print(f"[red]{error}[/] {error.hint}")


async def _one(console: Console, item: WorkItem) -> bool:
    """Work on one item. False: the agent quits."""
    _show(console, item)
    while True:
        console.print(HELP)
        command = await _line("> ")
        try:
            match command.lower() if command is not None else "q":
                case "q":
                    await item.release()
                    console.print("Given back.")
                    return False
                case "b":
                    await item.release()
                    return True
                case "s":
                    await item.complete()
                    console.print("[green]Completed.[/]")
                    return True
                case "c":
                    text = await _line("Your answer: ") if item.channel != "phone_log" else None
                    if not text and item.channel != "phone_log":
                        console.print("No answer was given. [b]s[/] completes without one.")
                        continue
                    await item.complete(text)
                    console.print("[green]Sent and completed.[/]" if text else "[green]Completed.[/]")
                    return True
                case "r":
                    text = await _line("Your answer: ")
                    if not text:
                        console.print("No answer was given.")
                        continue
                    await item.reply(text)
                    console.print("[green]Sent.[/]")
                    await item.refresh()
                    _show(console, item)
                case _:
                    console.print("There is no such command.")
        except NewerMessages as error:
            console.print(f"[yellow]Not sent: {error}[/]")
            await item.refresh()
            _show(console, item)


def _show(console: Console, item: WorkItem) -> None:
    left = item.deadline - datetime.now(UTC)
    hours, minutes = divmod(int(abs(left).total_seconds() // 60), 60)
    span = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    due = f"due in {span}" if left.total_seconds() >= 0 else f"overdue by {span}"
    body = Text()
    for message in item.messages:
        body.append(f"{message.sender_name or message.sender or 'customer'} ", "bold cyan")
        body.append(f"{message.at.astimezone():%H:%M} {message.verdict}\n", "dim")
        body.append(f"{message.text}\n\n")
    for answer in item.answers:
        body.append(f"{answer.author} ", "bold green")
        body.append(f"{answer.delivery}\n", "dim")
        body.append(f"{answer.text}\n\n")
    body.append("\n".join(item.why), "dim italic")
    console.print(Panel(body, title=f"{item.reference} · {item.channel} · {item.tier} · {due}", title_align="left"))


async def _line(prompt: str) -> str | None:
    """A line from the keyboard, without holding up the heartbeat. None at the end of the input."""
    if sys.stdin.isatty():
        sys.stdout.write(prompt)
        sys.stdout.flush()
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip() if line else None
