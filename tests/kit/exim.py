"""A throw-away exim on a loopback port, without root: takes mail for anybody, and hands it to a Dovecot by LMTP.

`unknown@…` is refused at RCPT; `full@…` is taken, and comes back as a bounce by the SMTP door that it is given.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bus.brokers.probe import free_port

WHAT = "exim (apt-get install exim4-daemon-light)"

_CONFIG = """
exim_user = {user}
exim_group = {group}
spool_directory = {dir}/spool
log_file_path = {dir}/log-%s
pid_file_path = {dir}/exim.pid
primary_hostname = relay.example
{ports}
local_interfaces = 127.0.0.1
queue_run_in_order
remote_max_parallel = 4
keep_environment =
add_environment = PATH=/bin
acl_smtp_rcpt = rcpt
acl_smtp_data = data
{tls}
begin acl
rcpt:
  deny  local_parts = unknown
        message = 5.1.1 no such user here
{strangers}
  accept
data:
  accept
begin routers
ours:
  driver = manualroute
  domains = shop.example
  transport = door
  route_list = * 127.0.0.1
  self = send
lost:
  driver = redirect
  local_parts = full
  allow_fail
  data = :fail: 5.2.2 mailbox is full
theirs:
  driver = manualroute
  transport = lmtp
  route_list = * 127.0.0.1
  self = send
begin transports
door:
  driver = smtp
  port = {door}
  allow_localhost
lmtp:
  driver = smtp
  protocol = lmtp
  port = {lmtp}
  allow_localhost
begin retry
* * F,1h,1s
begin authenticators
{authenticators}
"""
_TLS = """
daemon_smtp_ports = {port} : {tls_port}
tls_on_connect_ports = {tls_port}
tls_advertise_hosts = *
tls_certificate = {dir}/cert.pem
tls_privatekey = {dir}/key.pem
auth_advertise_hosts = ${{if def:tls_in_cipher{{*}}{{}}}}
"""
_STRANGERS = """
  deny !authenticated = *
       message = 5.7.0 sign in first
"""
_AUTHENTICATORS = r"""
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{support}}{eq{$auth3}{a pass word}}}}
  server_set_id = $auth2
xoauth2:
  driver = plaintext
  public_name = XOAUTH2
  server_prompts = <| |
  server_condition = ${if match{$auth1}{\N^user=help@shop\.example\x01auth=Bearer access-(?!2\x01)\d+\x01\x01$\N}}
  server_set_id = help
"""


def program() -> str | None:
    """Where exim is; None if it is not installed."""
    return shutil.which("exim4", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Exim:
    """`door`: the SMTP port to which mail for shop.example goes; `lmtp`: Dovecot's. With `tls` (certificate, key) it
    takes mail from who has signed in only: by STARTTLS on `port`, at once on `tls_port`; as `support` with the password
    `a pass word`, or as help@shop.example with any token of the OAuth server but `access-2`."""

    def __init__(self, path: str, *, door: int, lmtp: int, tls: tuple[Path, Path] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sbex", dir="/tmp"))
        self.port = free_port()
        self._program, self._prefix = path, list[str]()
        if os.geteuid() == 0:
            user, group = "nobody", "nogroup"
            self._prefix = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
            shutil.chown(self.folder, user, group)
        else:
            import grp
            import pwd

            user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
        self.tls_port = free_port()
        for name, source in zip(("cert.pem", "key.pem"), tls or (), strict=False):
            shutil.copy(source, self.folder / name)
            (self.folder / name).chmod(0o644)  # of a key that is worth nothing
        more = {
            "ports": "" if tls else f"daemon_smtp_ports = {self.port}",
            "tls": _TLS.format(dir=self.folder, port=self.port, tls_port=self.tls_port) if tls else "",
            "strangers": _STRANGERS if tls else "",
            "authenticators": _AUTHENTICATORS if tls else "",
        }
        where = {"dir": self.folder, "user": user, "group": group, "port": self.port, "door": door, "lmtp": lmtp}
        config = _CONFIG.format(**where, **more)
        self._config = self.folder / "exim.conf"
        self._config.write_text(config)
        self._config.chmod(0o644)

    @property
    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*log*")))

    def start(self) -> None:
        command = [*self._prefix, self._program, "-C", str(self._config), "-bdf", "-q1s"]
        said = (self.folder / "start.log").open("wb")
        self._process = subprocess.Popen(command, stdout=said, stderr=said, cwd="/", start_new_session=True)
        said.close()
        until = time.monotonic() + 20
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            alive = self._process.poll() is None and time.monotonic() < until
            assert alive, (self.folder / "start.log").read_text() + self.log
            time.sleep(0.05)

    def clear(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def server(path: str, *, door: int, lmtp: int, tls: tuple[Path, Path] | None = None) -> Iterator[Exim]:
    found = Exim(path, door=door, lmtp=lmtp, tls=tls)
    try:
        found.start()
        yield found
    finally:
        found.clear()
