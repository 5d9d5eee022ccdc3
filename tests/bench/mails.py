"""Made-up mails as a company gets them: the same seed gives the same bytes.

35 % plain, 30 % alternative, 25 % replies with 30 to 400 quoted lines, 8 % with files of 50 KB to 2 MB, 2 % damaged; in
eight languages.
"""

import base64
import random
from collections.abc import Iterator

from tests.bench.traffic import LANGUAGES, body

KINDS = (("plain", 35), ("alternative", 30), ("reply", 25), ("file", 8), ("damaged", 2))
DATE = "Wed, 25 Nov 2026 10:00:00 +0000"
ATTRIBUTION = {
    "en": "On 24 Nov 2026, at 09:12, Shop <help@shop.example> wrote:",
    "de": "Am 24.11.2026 um 09:12 schrieb Shop <help@shop.example>:",
    "fr": "Le 24 nov. 2026 à 09:12, Shop <help@shop.example> a écrit :",
    "es": "El 24 nov 2026, a las 09:12, Shop <help@shop.example> escribió:",
    "it": "Il giorno 24 nov 2026 alle 09:12 Shop <help@shop.example> ha scritto:",
    "pl": "W dniu 24.11.2026 o 09:12, Shop <help@shop.example> pisze:",
    "ru": "24.11.2026 09:12, Shop <help@shop.example> пишет:",
    "ja": "2026年11月24日 9:12 Shop <help@shop.example>:",
}


def mails(count: int, seed: int = 5) -> Iterator[bytes]:
    rng = random.Random(seed)
    for number in range(count):
        kind = rng.choices([name for name, _ in KINDS], [weight for _, weight in KINDS])[0]
        yield mail(rng, number, kind)


def mail(rng: random.Random, number: int, kind: str) -> bytes:
    """One mail of its own sender and Message-ID."""
    language = rng.choice(LANGUAGES)
    said = body(rng, language, [], rng.randrange(150, 900))
    subject = base64.b64encode(body(rng, language, [], 30).encode()).decode()
    head = [
        f"Received: from mail.example.net (mail.example.net [192.0.2.1]) by mx.shop.example with ESMTPS; {DATE}",
        f"From: =?utf-8?B?{base64.b64encode('Ann Müller'.encode()).decode()}?= <ann{number}@example.org>",
        "To: Help <help@shop.example>",
        f"Subject: =?utf-8?B?{subject}?=",
        f"Message-ID: <{number}.{rng.getrandbits(40):x}@example.org>",
        f"Date: {DATE}",
        "MIME-Version: 1.0",
        "X-Mailer: Post 16.0",
    ]
    if kind == "reply":
        head += [f"In-Reply-To: <old{number}@shop.example>", f"References: <old{number}@shop.example>"]
        quoted = [f"> {line}" for _ in range(rng.randrange(30, 400)) for line in [body(rng, language, [], 60)[:70]]]
        said = "\n".join([said.replace("\n", " "), "", ATTRIBUTION[language], *quoted])
    if kind == "damaged":
        return _damaged(rng, head, said)
    if kind in ("plain", "reply"):
        return _part([*head, *_text("plain")], said)
    if kind == "alternative":
        html = f"<html><body><p>{'</p><p>'.join(said.splitlines())}</p><div>-- <br>Ann</div></body></html>"
        inner = [_part(_text("plain"), said), _part(_text("html"), html)]
        return _multipart(head, "alternative", inner, f"b{number}")
    data = rng.randbytes(rng.randrange(50_000, 2_000_000))
    encoded = base64.encodebytes(data)
    file = (
        b'Content-Type: application/pdf; name="a.pdf"\r\nContent-Disposition: attachment; filename="a.pdf"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded.replace(b"\n", b"\r\n")
    )
    return _multipart(head, "mixed", [_part(_text("plain"), said), file], f"b{number}")


def _text(kind: str) -> list[str]:
    return [f"Content-Type: text/{kind}; charset=utf-8", "Content-Transfer-Encoding: base64"]


def _part(head: list[str], said: str) -> bytes:
    encoded = base64.encodebytes(said.replace("\n", "\r\n").encode()).replace(b"\n", b"\r\n")
    return "\r\n".join([*head, "", ""]).encode() + encoded


def _multipart(head: list[str], kind: str, parts: list[bytes], boundary: str) -> bytes:
    lines = [*head, f'Content-Type: multipart/{kind}; boundary="{boundary}"', "", ""]
    joined = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    return "\r\n".join(lines).encode() + joined + f"--{boundary}--\r\n".encode()


def _damaged(rng: random.Random, head: list[str], said: str) -> bytes:
    """Undeclared bytes, an unknown charset, a multipart that ends too early, or no Message-ID."""
    match rng.randrange(4):
        case 0:
            return "\r\n".join([*head, "", said]).encode("cp1252", "replace")
        case 1:
            lines = [*head, "Content-Type: text/plain; charset=x-unknown", "Content-Transfer-Encoding: 8bit", "", said]
            return "\r\n".join(lines).encode()
        case 2:
            lines = [*head, 'Content-Type: multipart/mixed; boundary="gone"', "", "--gone", "", said]
            return "\r\n".join(lines).encode()
        case _:
            return "\r\n".join([line for line in head if not line.startswith("Message-ID")] + ["", said]).encode()
