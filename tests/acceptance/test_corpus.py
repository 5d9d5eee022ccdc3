"""`make corpus`: finds what it should find, and says where."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = {
    "nested.eml": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(900)
    ),
    "encoded.txt": b"=?utf-8?q?Hi=0D=0ABcc=3A_evil=40example.net?=\n",
    "deep.json": b"[" * 100_000,
    "calls.csv": b'started_at,caller\n"unclosed,\xff\x00\n2026-03-04T10:00:00Z,+4930901820\n',
    "words.txt": "\u202eevil\n{{7*7}}\n=cmd|'/c calc'!A1\n<script>alert(1)</script>\n".encode(),
    "nothing": b"",
}


@pytest.mark.acceptance
def test_hostile_samples_pass_every_check(tmp_path: Path) -> None:
    for name, data in SAMPLES.items():
        (tmp_path / name).write_bytes(data)
    argv = [sys.executable, "-m", "tests.corpus", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{len(SAMPLES)} samples" in done.stdout
