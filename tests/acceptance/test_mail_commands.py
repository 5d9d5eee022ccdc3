"""`channels login` and `channels import` as people use them: real processes, a real OAuth and a real mail server."""

import asyncio
import contextlib
import json
import mailbox
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from store import ledger, policies
from store.database import Database
from store.schema import upgrade
from tests.kit.contacts import NOW
from tests.kit.dovecot import Dovecot
from tests.kit.mails import mail
from tests.kit.oauth_server import OAuthServer
from tests.kit.prefork import ENVIRONMENT, switchboard

pytestmark = pytest.mark.acceptance


def configured(folder: Path, **account: Any) -> Path:
    path = folder / "switchboard.yaml"
    settings = {"address": "help@shop.example", **account}
    path.write_text(yaml.safe_dump({"channels": {"email": {"help": settings}}}))
    return path


def command(config: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "switchboard", "--config", str(config), "channels", *words]


def sb(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return switchboard("--config", str(config), "channels", *words)


def test_login_shows_a_code_waits_for_the_person_and_proves_that_the_mailbox_opens(
    dovecot: Dovecot, oauth_server: OAuthServer, tmp_path: Path
) -> None:
    address = "login@shop.example"
    config = configured(tmp_path, imap=dovecot.settings(address, oauth=oauth_server.settings(client_secret="hush")))
    oauth_server.agreed, oauth_server.pending = None, []
    asked = len(oauth_server.forms)
    argv = command(config, "login", "help")
    with subprocess.Popen(argv, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        until = time.monotonic() + 40
        while len(oauth_server.forms) < asked + 2 and time.monotonic() < until:  # the code, and a first poll
            time.sleep(0.05)
        argument_list = Path(f"/proc/{child.pid}/cmdline").read_bytes()
        oauth_server.agreed = address
        out, said = child.communicate(timeout=40)
    assert child.returncode == 0, said
    assert out == ""
    assert "ABCD-EFGH" in said
    assert "lets us in" in said
    token = json.loads((tmp_path / "data" / "oauth" / "help.json").read_bytes())["refresh_token"]
    assert token not in said
    assert "hush" not in said
    assert token.encode() not in argument_list
    assert (tmp_path / "data" / "oauth" / "help.json").stat().st_mode & 0o777 == 0o600


def test_login_with_a_browser_comes_back_by_itself(dovecot: Dovecot, oauth_server: OAuthServer, tmp_path: Path) -> None:
    address = "browser@shop.example"
    config = configured(tmp_path, imap=dovecot.settings(address, oauth=oauth_server.settings(client_secret="hush")))
    oauth_server.agreed = address
    argv = command(config, "login", "help", "--browser")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as child:
        assert child.stderr is not None
        page = next(line.strip() for line in child.stderr if line.startswith("http"))
        with urllib.request.urlopen(page, timeout=20) as answer:
            assert b"Signed in" in answer.read()
        _, said = child.communicate(timeout=40)
    assert child.returncode == 0, said
    assert "lets us in" in said
    assert "hush" not in page + said
    assert (tmp_path / "data" / "oauth" / "help.json").stat().st_mode & 0o777 == 0o600


def test_login_says_what_is_missing(dovecot: Dovecot, tmp_path: Path) -> None:
    config = configured(tmp_path, imap=dovecot.settings("x"))
    done = sb(config, "login", "help")
    assert (done.returncode, "imap.oauth" in done.stderr) == (2, True)
    done = sb(config, "login", "nobody")
    assert (done.returncode, "known: help" in done.stderr) == (2, True)


def test_import_counts_what_it_took_and_says_what_it_could_not_read(tmp_path: Path) -> None:
    config = configured(tmp_path)
    box = mailbox.mbox(tmp_path / "old.mbox")
    for n in range(60):
        box.add(mail(f"m{n}"))
    box.close()
    assert sb(config, "import", "email", str(tmp_path / "nowhere")).returncode == 4

    async def migrated() -> None:
        (tmp_path / "data").mkdir()
        async with Database.at("sqlite:///switchboard.db", tmp_path / "data") as database:
            await upgrade(database)
            await database.write(lambda c: policies.activate(c, "p-test", b"{}", NOW))

    asyncio.run(migrated())
    done = sb(config, "import", "email", str(tmp_path / "old.mbox"), "--archive", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"skipped": 0, "unreadable": 0, "accepted": 60}
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe")
    (tmp_path / "in" / "new.eml").write_bytes(mail("new"))
    broken = sb(config, "import", "email", str(tmp_path / "in"), "--json")
    assert (broken.returncode, json.loads(broken.stdout)["accepted"]) == (1, 1)
    assert "pipe" in broken.stderr

    async def balance() -> dict[str, int]:
        async with Database.at("sqlite:///switchboard.db", tmp_path / "data", read_only=True) as database:
            return dict((await database.read(ledger.balance)).total.states)

    assert asyncio.run(balance()) == {"closed": 60, "received": 1}


def test_an_import_into_a_store_that_never_ran_activates_the_configured_policy(tmp_path: Path) -> None:
    """Every mail became a dead letter, because no policy was active, and it ended with 0; ahead of `migrate` it ended
    in a traceback."""
    config = configured(tmp_path)
    (tmp_path / "one.eml").write_bytes(mail("one"))
    early = sb(config, "import", "email", str(tmp_path / "one.eml"))
    assert early.returncode == 2
    assert "switchboard migrate" in early.stderr
    assert "Traceback" not in early.stderr
    argv = [sys.executable, "-m", "switchboard", "--config", str(config), "migrate"]
    subprocess.run(argv, env=ENVIRONMENT, capture_output=True, timeout=60, check=True)
    done = sb(config, "import", "email", str(tmp_path / "one.eml"), "--archive", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"skipped": 0, "unreadable": 0, "accepted": 1}

    async def active() -> list[policies.Version]:
        async with Database.at("sqlite:///switchboard.db", tmp_path / "data") as database:
            return await database.read(policies.versions)

    assert [version.active for version in asyncio.run(active())] == [True]

    when = "BEFORE INSERT ON interactions WHEN NEW.state = 'closed'"
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "switchboard.db")) as store:
        store.execute(f"CREATE TRIGGER no {when} BEGIN SELECT RAISE(ABORT, 'no'); END")
        store.commit()
    (tmp_path / "two.eml").write_bytes(mail("two"))
    aside = sb(config, "import", "email", str(tmp_path / "two.eml"), "--archive")
    assert (aside.returncode, "1 set aside" in aside.stderr) == (1, True), aside.stderr
    assert "switchboard dead-letters list" in aside.stderr


def test_doctor_signs_in_and_says_which_mailbox_does_not_open(dovecot: Dovecot, tmp_path: Path) -> None:
    for imap, ok, words in [
        (dovecot.settings("doctor"), True, "lets us in: INBOX"),
        (dovecot.settings("doctor", folders=["INBOX", "Nowhere"]), False, "Nowhere"),
        (dovecot.settings("doctor", password="wrong"), False, "does not let doctor in"),
    ]:
        config = configured(tmp_path, imap=imap)
        argv = [sys.executable, "-m", "switchboard", "--config", str(config), "doctor", "--json"]
        done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
        (found,) = [row for row in map(json.loads, done.stdout.splitlines()) if row["service"] == "mailbox of help"]
        assert (found["ok"], words in found["detail"]) == (ok, True), found
        assert "wrong" not in done.stdout + done.stderr
