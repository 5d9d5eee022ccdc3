"""`channels check` and `channels test-send`: can an email account do its work?"""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import EmailStr, TypeAdapter, ValidationError
from rich.markup import escape

from channels.email.sending.compose import Extras, compose, message_id
from channels.email.sending.lanes import links_of
from channels.email.sending.plain import in_words
from channels.email.sending.transfer import transfer
from channels.email.settings import EmailSettings
from runtime.clock import SystemClock
from schemas.errors import ConfigError
from schemas.interaction import Sender
from schemas.reply import Author, Reply
from schemas.states import DeliveryState
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.mail_accounts import email_account
from switchboard.cli.output import Json, err, show
from switchboard.doctor import Finding
from switchboard.mail_check import examine


def check(json: Json = False) -> None:
    """Look at every email account: sign-in, folders, and the records in the DNS that receivers look at."""
    quiet_logs()
    found = configuration()

    async def work() -> list[Finding]:
        accounts = found.channels.get("email", {})
        looked = await asyncio.gather(
            *(examine(n, s, found) for n, s in accounts.items() if isinstance(s, EmailSettings))
        )
        return [finding for each in looked for finding in each]

    findings = asyncio.run(work())
    rows = [{"service": f.service, "ok": f.ok, "detail": f.detail, "hint": f.hint} for f in findings]
    show(rows, title="Email", columns=["service", "ok", "detail", "hint"], json=json, empty="No email accounts.")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def test_send(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="An email account with a relay.")],
    to: Annotated[str, typer.Option("--to", metavar="ADDR", help="Who gets it: an address of yours.")],
) -> None:
    """Send one mail past the ledger, and say what the relay said."""
    quiet_logs()
    found = configuration()
    name, settings = email_account(found, account)
    if settings.smtp is None:
        raise ConfigError([f"channels.email.{name}.smtp: is not set"], hint="without a relay nothing is sent")
    try:
        TypeAdapter(EmailStr).validate_python(to)
    except ValidationError:
        raise ConfigError([f"--to: {to!r} is no address"]) from None
    made = Reply(
        id=f"test:{uuid.uuid4()}",
        conversation_id=str(uuid.uuid4()),
        reference="TEST",
        channel="email",
        account=name,
        recipient=Sender(kind="email", address=to),
        author=Author(kind="rule", name="test-send"),
        subject="A test of Switchboard",
        text=f"The account {name} can send. Nobody has to answer this.",
        automatic=True,
        created_at=datetime.now(UTC),
    )
    extras = Extras(signature=settings.signature, html=settings.html, language=settings.language)
    raw = compose(made, address=settings.address, name=settings.name, now=made.created_at, extras=extras)

    async def work() -> tuple[DeliveryState, str]:
        links = links_of(name, settings, SystemClock(), found.path.parent, found.data_dir)
        try:
            # Not <>, as machine mail has it: what people write goes out under the account's address, and trouble with
            # that address or its SPF has to show here. A bounce comes to the mailbox, where it is looked for.
            outcome = await transfer(links, settings.address, to, raw)
        finally:
            links.prune(all_=True)
        return outcome.state, outcome.detail

    state, said = asyncio.run(work())
    identity = message_id(made, settings.address.rpartition("@")[2])
    if state is DeliveryState.SENT:
        err.print(f"[green]✓[/] the relay took it ({escape(said)}). Look for it at {escape(to)}: <{identity}>")
        return
    err.print(f"[red]✗[/] {state.value}: {escape(in_words(said))}", soft_wrap=True)
    if state is DeliveryState.UNKNOWN:
        lost = f"  The link was lost after the whole mail had left: it may have arrived. Look for it at {escape(to)}"
        err.print(f"{lost} before you send another: <{identity}>", soft_wrap=True)
    err.print("  switchboard channels check says more", soft_wrap=True)
    raise typer.Exit(3 if state is DeliveryState.DEFERRED else 1)


test_send.__test__ = False  # type: ignore[attr-defined]  # a command, whatever its name
