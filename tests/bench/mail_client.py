"""Customers' mail servers in a process of their own, so that what they cost is not counted as ours.

    python -m tests.bench.mail_client PORT RECIPIENT CONNECTIONS FOLDER

Reads every file of the folder, says READY, and sends them once a line comes in on stdin, one after another on each
connection. Knows as much SMTP as that takes (RFC 5321).
"""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path

TIMEOUT_S = 60.0
SENDER = b"ann@example.org"


def on_the_wire(mail: bytes) -> bytes:
    """With line ends, transparency dots and the final one as they have to be (RFC 5321 §2.3.8, §4.5.2)."""
    stuffed = re.sub(rb"\r\n|\r|\n", b"\r\n", mail).replace(b"\r\n.", b"\r\n..")
    return (b"." if stuffed.startswith(b".") else b"") + stuffed.removesuffix(b"\r\n") + b"\r\n.\r\n"


async def connection(port: int, recipient: bytes, mails: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def said(expected: bytes, *lines: bytes) -> None:
        writer.write(b"".join(lines))
        async with asyncio.timeout(TIMEOUT_S):
            await writer.drain()
            while (line := await reader.readline())[3:4] == b"-":
                pass
        assert line.startswith(expected), line

    await said(b"220")
    await said(b"250", b"EHLO mail.example.org\r\n")
    for mail in mails:
        await said(b"250", b"MAIL FROM:<" + SENDER + b">\r\n")
        await said(b"250", b"RCPT TO:<" + recipient + b">\r\n")
        await said(b"354", b"DATA\r\n")
        await said(b"250", mail)
    await said(b"221", b"QUIT\r\n")
    writer.close()


async def main(port: int, recipient: str, connections: int, folder: Path) -> None:
    mails = iter([on_the_wire(path.read_bytes()) for path in sorted(folder.iterdir())])
    print("READY", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(connection(port, recipient.encode(), mails) for _ in range(connections)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
