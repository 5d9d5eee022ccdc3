"""A throw-away Dovecot on loopback ports: IMAPS and LMTP, started without root from Debian's packages.

Any user name signs in with PASSWORD, or with a token that the OAuth server beside it has given out.
"""

import os
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bus.brokers.probe import free_port
from tests.kit.certificates import certificate
from tests.kit.processes import alive, descendants

WHAT = "Dovecot (apt-get install dovecot-imapd dovecot-lmtpd)"
PASSWORD = "secret"

_CONFIG = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
auth_verbose = yes
ssl = yes
ssl_cert = <{dir}/cert.pem
ssl_key = <{dir}/key.pem
first_valid_uid = 1
mail_uid = {user}
mail_gid = {group}
mail_home = {dir}/mail/%u
mail_location = maildir:~/Maildir
mail_max_userip_connections = 200
namespace inbox {{
  inbox = yes
}}
{oauth}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={dir}/mail/%u allow_all_users=yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
"""
_OAUTH = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {dir}/oauth2.conf
}}
"""


def program() -> str | None:
    """Where Dovecot is, with LMTP; None if it is not installed."""
    found = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return found if found and Path("/usr/lib/dovecot/lmtp").exists() else None


class Dovecot:
    """Blocking: call what takes time from a thread in a running loop."""

    def __init__(self, path: str, tokeninfo_url: str | None = None) -> None:
        self._program = path
        self.folder = Path(tempfile.mkdtemp(prefix="sbdc", dir="/tmp"))  # short: it holds Unix sockets
        self.port, self.lmtp_port = free_port(), free_port()
        self._prefix: list[str] = []
        user, group = str(os.geteuid()), str(os.getegid())
        if os.geteuid() == 0:
            user, group = "nobody", "nogroup"
            self._prefix = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        else:
            import grp
            import pwd

            user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
        self._user, self._group = user, group
        certificate(self.folder)
        names = {"dir": self.folder, "user": user, "group": group, "password": PASSWORD}
        oauth = _OAUTH.format(**names) if tokeninfo_url else ""
        config = _CONFIG.format(**names, imaps=self.port, lmtp=self.lmtp_port, oauth=oauth)
        (self.folder / "dovecot.conf").write_text(config)
        (self.folder / "oauth2.conf").write_text(f"tokeninfo_url = {tokeninfo_url}\nusername_attribute = email\n")
        (self.folder / "mail").mkdir()
        self._own(self.folder)

    @property
    def cert(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def log(self) -> str:
        return (self.folder / "dovecot.log").read_text()

    def settings(self, username: str, **more: Any) -> dict[str, Any]:
        """The `imap` section for a user's mailbox."""
        common = {"host": "localhost", "port": self.port, "username": username, "ca_file": str(self.cert)}
        return {**common, **({} if "oauth" in more else {"password": PASSWORD}), **more}

    def start(self) -> None:
        command = [*self._prefix, self._program, "-c", str(self.folder / "dovecot.conf")]
        with (self.folder / "start.log").open("wb") as said:  # no pipe: the server would inherit it and hold it open
            done = subprocess.run(command, check=False, stdout=said, stderr=said, timeout=30, cwd="/")
        assert done.returncode == 0, (self.folder / "start.log").read_text()
        until = time.monotonic() + 20
        for port in (self.port, self.lmtp_port):
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                assert time.monotonic() < until, self.log
                time.sleep(0.05)

    @property
    def pid(self) -> int:
        return int((self.folder / "run" / "master.pid").read_text())

    def pids(self) -> list[int]:
        return [self.pid, *descendants(self.pid)]

    def stop(self) -> None:
        """Ended in order: the mail stays."""
        pids = self.pids()
        os.kill(pids[0], signal.SIGTERM)
        until = time.monotonic() + 10
        while any(map(alive, pids)) and time.monotonic() < until:
            time.sleep(0.02)

    def freeze(self) -> None:
        """It keeps its connections and says nothing any more."""
        self._all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._all(signal.SIGCONT)

    def hang_up(self) -> int:
        """Kill the processes that serve signed-in users. How many there were."""
        sessions = [pid for pid in descendants(self.pid) if _name(pid) == "imap"]
        for pid in sessions:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(sessions)

    def clear(self) -> None:
        with suppress(FileNotFoundError, ProcessLookupError):
            self.thaw()
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def deliver(self, user: str, raw: bytes) -> None:
        """By LMTP, as a mail server would."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port, timeout=10) as client:
            client.sendmail("ann@example.org", [f"{user}"], raw)

    def drop(self, user: str, mails: Sequence[bytes], folder: str = "", *, arrived: float | None = None) -> None:
        """Put mails into the mailbox's files, quickly; `arrived` (seconds since 1970) becomes their INTERNALDATE."""
        place = self.maildir(user) / (f".{folder}" if folder else "")
        for name in ("cur", "new", "tmp"):
            (place / name).mkdir(parents=True, exist_ok=True)
        for n, raw in enumerate(mails):
            path = place / "tmp" / f"{int(arrived or time.time())}.{time.monotonic_ns()}_{n}.kit"
            path.write_bytes(raw)
            if arrived is not None:
                os.utime(path, (arrived, arrived))
            shutil.chown(path, self._user, self._group)
            path.rename(place / "new" / path.name)
        self._own(self.folder / "mail" / user)

    def maildir(self, user: str) -> Path:
        return self.folder / "mail" / user / "Maildir"

    def files(self, user: str, folder: str = "") -> list[Path]:
        """The mails of a folder."""
        place = self.maildir(user) / (f".{folder}" if folder else "")
        return sorted([*place.glob("cur/*"), *place.glob("new/*")])

    def renumber(self, user: str) -> None:
        """Forget the UIDs: the folder gets another UIDVALIDITY. Nobody may be signed in meanwhile."""
        for path in self.maildir(user).glob("dovecot*"):
            path.unlink()

    def _own(self, top: Path) -> None:
        if self._prefix:
            for path in [top, *top.rglob("*")]:
                shutil.chown(path, self._user, self._group)

    def _all(self, what: signal.Signals) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, what)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@contextmanager
def server(path: str, tokeninfo_url: str | None = None) -> Iterator[Dovecot]:
    found = Dovecot(path, tokeninfo_url)
    try:
        found.start()
        yield found
    finally:
        found.clear()
