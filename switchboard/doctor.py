"""What `switchboard doctor` looks at: the services that the configuration names, and in words what is wrong."""

import asyncio
import shutil
from dataclasses import dataclass

from bus import admin
from bus.brokers import kafka_jars
from bus.brokers.local import known_address
from bus.brokers.probe import answers
from bus.topics import TOPICS
from channels.email.mailboxes.connection import Connection, SignInRefused
from channels.email.mailboxes.sign_in import SignIn
from channels.email.settings import EmailSettings
from runtime.clock import SystemClock
from schemas.errors import SwitchboardError
from store import policies, schema
from switchboard.base import make_base
from switchboard.settings import Configuration

TIMEOUT_S = 10.0
FREE_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    service: str
    ok: bool
    detail: str
    hint: str = ""


async def examine(configuration: Configuration) -> list[Finding]:
    """Look at everything; never raises for what it looks at."""
    findings = [_disk(configuration), await _store(configuration), await _kafka(configuration)]
    for account, settings in configuration.channels.get("email", {}).items():
        if settings.smtp is not None:
            findings.append(await _connects(f"smtp of {account}", settings.smtp.host, settings.smtp.port))
        if settings.imap is not None:
            findings.append(await signs_in(account, settings, configuration))
    return findings


def _disk(configuration: Configuration) -> Finding:
    configuration.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    free = shutil.disk_usage(configuration.data_dir).free
    hint = "" if free > FREE_BYTES else "make room: what cannot be written is not accepted"
    return Finding("disk", free > FREE_BYTES, f"{free / 1024**3:.1f} GiB free at {configuration.data_dir}", hint)


async def _store(configuration: Configuration) -> Finding:
    try:
        base = make_base(configuration)
        async with base.database:
            revision = await base.database.read(schema.current)
            if revision is None:
                return Finding("store", True, "reachable, empty", "the first start fills it")
            await schema.check(base.database)
            active = await base.database.read(policies.active_version)
        return Finding("store", True, f"schema {revision}, active policy {active}")
    except SwitchboardError as error:
        return Finding("store", False, str(error), error.hint or "is the database running, and the url right?")


async def _kafka(configuration: Configuration) -> Finding:
    kafka = configuration.settings.kafka
    if kafka.kind == "embedded":
        return Finding("kafka", True, "embedded: comes and goes with `switchboard run`")
    address = kafka.brokers
    if kafka.kind == "local":
        try:
            java, fetched = await kafka_jars.look()
        except SwitchboardError as error:
            return Finding("kafka", False, str(error), error.hint)
        address = known_address(configuration.data_dir) or ""
        if not address or not await answers(address):
            state = "not running" if fetched else "not fetched yet: the first start does it"
            return Finding("kafka", True, f"local: Apache Kafka {kafka_jars.VERSION} with {java}, {state}")
    try:
        findings = await admin.check(address, TOPICS, kafka.partitions)
    except SwitchboardError as error:
        return Finding("kafka", False, str(error), error.hint or "is the cluster up, and kafka.brokers right?")
    if findings:
        words = "; ".join(f"{f.topic}: {f.detail}" for f in findings)
        return Finding("kafka", False, words, "switchboard topics apply")
    where = f"local, at {address}: " if kafka.kind == "local" else ""
    return Finding("kafka", True, f"{where}{len(TOPICS)} topics as declared")


async def signs_in(account: str, settings: EmailSettings, configuration: Configuration) -> Finding:
    """Whether a mailbox lets us in and has the folders. Never raises."""
    imap, service = settings.imap, f"mailbox of {account}"
    assert imap is not None
    signing = SignIn(account, settings, configuration.data_dir, SystemClock())
    try:
        connection = await signing.open(lambda: Connection(imap, configuration.path.parent))
    except SwitchboardError as error:
        hint = error.hint or ("is the password right?" if isinstance(error, SignInRefused) else "check host and port")
        return Finding(service, False, str(error), hint.replace("ACCOUNT", account))
    try:
        for folder in imap.folders:
            await connection.select(folder)
    except SwitchboardError as error:
        return Finding(service, False, str(error), "are the folders' names right?")
    finally:
        await connection.close()
    return Finding(service, True, f"{imap.host} lets us in: {', '.join(imap.folders)}")


async def _connects(service: str, host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        reason = str(error) or "no answer"
        return Finding(service, False, f"{host}:{port}: {reason}", "check host, port and firewall")
    writer.close()
    return Finding(service, True, f"{host}:{port} answers")
