"""An IMAP server that does as it is told: for what a real one does on bad days only. Plain text, one folder."""

import asyncio
import contextlib
import re
from dataclasses import dataclass, field


@dataclass
class ImapScript:
    """`mails`: UID → the mail. `faults`: command → what to do there (`hang_up`, `silent`, or words to answer)."""

    mails: dict[int, bytes] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    validity: int = 7
    says_uidnext: bool = True
    capabilities: str = "IMAP4rev1 IDLE"
    vanish: set[int] = field(default_factory=set)
    """UIDs that a search still shows, and that are gone when they are asked for."""
    half: set[int] = field(default_factory=set)
    """UIDs that vanish when a second part of them is asked for."""
    unreadable: set[int] = field(default_factory=set)
    sizes: dict[int, int] = field(default_factory=dict)
    """What it says of a mail's size, where that is not the truth."""
    commands: list[str] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _sessions: set["asyncio.Task[None]"] = field(default_factory=set)

    async def __aenter__(self) -> "ImapScript":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for session in list(self._sessions):
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def settings(self, **more: object) -> dict[str, object]:
        return {"host": "127.0.0.1", "port": self.port, "tls": "none", "password": "secret", **more}

    def hang_up(self) -> None:
        """On everybody."""
        for session in list(self._sessions):
            session.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                writer.write(b"* OK ready\r\n")
                while line := await reader.readline():
                    tag, _, command = line.decode().strip().partition(" ")
                    if not await self._answer(tag, command, reader, writer):
                        break
        finally:
            writer.close()
            self._sessions.discard(task)

    async def _answer(self, tag: str, command: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        verb = re.match(r"(UID )?\w+", command)
        name = verb[0] if verb else command
        self.commands.append(command)
        if fault := self.faults.get(name):
            if fault == "hang_up":
                return False
            if fault == "silent":
                await asyncio.sleep(3600)
            writer.write(f"{tag} {fault}\r\n".encode())
            return True
        if name == "IDLE":
            writer.write(b"+ idling\r\n")
            await reader.readline()
        for part in self._lines(name, command):
            writer.write(part)
        refused = name == "UID FETCH" and any(self._wanted(command, self.unreadable)) and "BODY.PEEK[]" in command
        writer.write(f"{tag} {'NO it is damaged' if refused else 'OK done'}\r\n".encode())
        await writer.drain()
        return name != "LOGOUT"

    def _lines(self, name: str, command: str) -> list[bytes]:
        there = sorted(uid for uid in self.mails if uid not in self.vanish)
        if name == "CAPABILITY":
            return [f"* CAPABILITY {self.capabilities}\r\n".encode()]
        if name == "SELECT":
            uidnext = [f"* OK [UIDNEXT {max(self.mails, default=0) + 1}] next\r\n"] if self.says_uidnext else []
            lines = [f"* {len(there)} EXISTS\r\n", f"* OK [UIDVALIDITY {self.validity}] valid\r\n", *uidnext]
            return [line.encode() for line in lines]
        if name == "UID SEARCH":
            low = int(re.search(r"(\d+):\*", command)[1])  # type: ignore[index]
            last = max(self.mails, default=0)  # n:* includes the last mail, even when it lies below n
            found = [uid for uid in sorted(self.mails) if uid >= low or uid == last]
            return [f"* SEARCH {' '.join(map(str, found))}\r\n".encode()]
        if name != "UID FETCH":
            return []
        wanted = [uid for uid in self._wanted(command, self.mails) if uid in there]
        if "RFC822.SIZE" in command:
            date = "04-Mar-2026 10:00:00 +0000"
            sizes = {uid: self.sizes.get(uid, len(self.mails[uid])) for uid in wanted}
            return [
                f'* {n} FETCH (UID {uid} RFC822.SIZE {size} INTERNALDATE "{date}")\r\n'.encode()
                for n, (uid, size) in enumerate(sizes.items(), start=1)
            ]
        start, count = map(int, re.search(r"<(\d+)\.(\d+)>", command).groups())  # type: ignore[union-attr]
        out: list[bytes] = []
        for uid in wanted:
            if uid in self.unreadable and "HEADER" not in command:
                continue
            if uid in self.half and start:
                self.vanish.add(uid)
                continue
            raw = self.mails[uid]
            raw = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if "HEADER" in command else raw
            piece = raw[start : start + count]
            out += [f"* 1 FETCH (UID {uid} BODY[]<{start}> {{{len(piece)}}}\r\n".encode(), piece, b")\r\n"]
        return out

    @staticmethod
    def _wanted(command: str, uids: "set[int] | dict[int, bytes]") -> list[int]:
        spec = re.match(r"UID FETCH (\S+)", command)
        wanted: list[int] = []
        for part in spec[1].split(",") if spec else []:
            low, _, high = part.partition(":")
            wanted += [uid for uid in uids if int(low) <= uid <= int(high or low)]
        return sorted(wanted)
