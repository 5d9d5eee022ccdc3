"""`make corpus DIR=…`: every sample in a folder through every check that fits it, in processes that can be killed.

A sample is read as bytes and never opened with anything else. Nothing may raise, hang, or give a value that cannot
be written down again.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from channels.chat.parse import BadFrame, Message, contact_of, parse_frame
from channels.email.parser.parse import parse as parse_mail
from channels.email.sending.compose import compose
from channels.phone_log.parse import GoodRow, parse_rows
from channels.web_form.page import form as form_page
from channels.web_form.parse import Mistakes, parse_form
from channels.web_form.settings import FormDefinition
from rules.policy import Policy
from runtime.workers import WorkerCrashed, WorkerPool, WorkerRaised, WorkerTimeout
from schemas.codec import Invalid, decode, encode, loads_strict
from schemas.decision import Facts
from schemas.interaction import Contact
from schemas.reply import Reply, Thread
from schemas.text import clean_line, clean_text
from tests.kit.events import examples
from tests.kit.policies import accepted, example_policy

NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
LINES = 400
DEADLINE_S = 10.0
MAX_BYTES = 30 * 1024 * 1024


def _written_down(contact: Contact) -> None:
    assert Contact.model_validate_json(contact.model_dump_json()) == contact


def _mail(data: bytes) -> None:
    _written_down(parse_mail(data, account="a", received_at=NOW))


def _decided(data: bytes) -> None:
    from router.core.triage import decide_safely

    contact = parse_mail(data, account="a", received_at=NOW)
    decision = decide_safely(_policy(), accepted(contact), Facts(), NOW)
    assert not any("triage failed" in error for error in decision.errors), decision.errors


def _json(data: bytes) -> None:
    loads_strict(data)
    parse_frame(data)


def _event(data: bytes) -> None:
    assert isinstance(decode(encode(examples()["decision"]).headers, data), Invalid)


def _csv(data: bytes) -> None:
    for row in parse_rows(data, account="a", region="DE", delimiter=",", queue=None, now=NOW):
        if isinstance(row, GoodRow):
            _written_down(row.contact)


def _lines(data: bytes) -> None:
    """Each line as a chat message, a form's field and a mail's subject; and back out again."""
    base = examples()["reply"]
    assert isinstance(base, Reply)
    for line in data.decode("utf-8", "surrogateescape").splitlines()[:LINES]:
        words = line[:4000]
        frame = parse_frame(json.dumps({"type": "message", "id": "1", "text": words}))
        assert isinstance(frame, BadFrame | Message)
        if isinstance(frame, Message):
            _written_down(contact_of(frame, account="a", session_id="s", page="", queue=None, received_at=NOW))
        contact = parse_form(
            {"message": words, "name": words[:100]}, FormDefinition(), account="a", key="k", queue=None, received_at=NOW
        )
        if not isinstance(contact, Mistakes):
            _written_down(contact)
        page = form_page("a", FormDefinition(), {"message": words}, {"message": words}, "k")
        assert page.count("<script") == 0
        subject = clean_line(words)
        made = base.model_copy(
            update={"text": clean_text(words), "subject": "", "automatic": False, "thread": Thread(subject=subject)}
        )
        mail = compose(made, address="a@shop.example", name=subject[:60], now=NOW)
        head = mail.partition(b"\r\n\r\n")[0].lower()
        assert head.count(b"\nto:") == 1, head
        assert b"\nbcc:" not in head, head


CHECKS: dict[str, Callable[[bytes], None]] = {
    "mail": _mail,
    "decision": _decided,
    "json": _json,
    "event": _event,
    "csv": _csv,
    "lines": _lines,
}
_cached: list[Policy] = []


def _policy() -> Policy:
    if not _cached:
        _cached.append(example_policy())
    return _cached[0]


def work(payload: bytes) -> bytes:
    """The check's name, a line end, the sample."""
    name, _, data = payload.partition(b"\n")
    CHECKS[name.decode()](data)
    return b"ok"


async def run(folder: Path) -> int:
    console = Console(stderr=True)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size <= MAX_BYTES)
    pool = WorkerPool("tests.corpus:work", size=2, deadline_s=DEADLINE_S, name="corpus")
    await pool.start()
    done: Counter[str] = Counter()
    failures: list[tuple[str, str, str]] = []

    async def one(path: Path, name: str) -> None:
        try:
            await pool.run(name.encode() + b"\n" + path.read_bytes())
        except (WorkerTimeout, WorkerCrashed, WorkerRaised) as error:
            failures.append((str(path.relative_to(folder)), name, str(error)[:200]))
        done[name] += 1

    try:
        for path in track(files, "samples", console=console):
            await asyncio.gather(*(one(path, name) for name in CHECKS))
    finally:
        await pool.stop()
    table = Table(title=f"{len(files)} samples below {folder}", title_justify="left")
    for column in ("check", "samples", "failed"):
        table.add_column(column, justify="left" if column == "check" else "right")
    failed = Counter(name for _, name, _ in failures)
    for name in CHECKS:
        table.add_row(name, str(done[name]), str(failed[name]))
    Console().print(table)
    for sample, name, why in failures[:50]:
        Console().print(f"✗ {sample} [{name}] {why}", markup=False)
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python -m tests.corpus FOLDER")
    sys.exit(asyncio.run(run(Path(sys.argv[1]))))
