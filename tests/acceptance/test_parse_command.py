"""`switchboard channels parse email`, as an operator runs it: a process of its own, nothing else there."""

import json
import mailbox
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from channels.email.parser.report import blank
from tests.kit.prefork import switchboard

pytestmark = pytest.mark.acceptance

MAIL = b"From: Ann <ann@example.org>\nTo: help@shop.example\nSubject: Hi\nMessage-ID: <%s@x>\n\nHello\n"


def run(*args: str | Path, cwd: Path) -> tuple[int, list[dict[str, Any]], str]:
    done = switchboard("channels", "parse", "email", *map(str, args), "--json", cwd=cwd)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    for n in range(300):
        (tmp_path / f"{n:03}.eml").write_bytes(MAIL % str(n).encode())
    command = [sys.executable, "-m", "switchboard", "channels", "parse", "email", str(tmp_path), "--json"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["message_id"] == "0@x"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_files_folders_maildirs_and_mboxes_in_byte_order(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "x.eml").write_bytes(MAIL % b"x")
    (folder / "a.eml").write_bytes(MAIL % b"a")
    (folder / "B.eml").write_bytes(MAIL % b"B")
    (folder / "empty.eml").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.eml")).write_bytes(MAIL % b"last")
    box = mailbox.Maildir(str(folder / "md"))
    box.add(MAIL % b"md")
    (folder / "md" / "dovecot.index").write_bytes(b"no mail")
    mbox = mailbox.mbox(str(tmp_path / "box.mbox"))
    for name in (b"one", b"two"):
        mbox.add(MAIL % name + b"\nFrom here on it is text\n")
    mbox.close()
    code, found, errors = run(folder, tmp_path / "box.mbox", "--own", "help@shop.example", cwd=tmp_path)
    assert code == 0, errors
    names = [(Path(each["file"]).name.partition(".")[0], each["index"], each["message_id"]) for each in found]
    assert [(name, index) for name, index, _ in names[:4]] == [("B", 0), ("a", 0), ("x", 0), ("empty", 0)]
    assert [each["message_id"] for each in found if each["outcome"] == "parsed"] == [
        f"{n}@x" for n in ("B", "a", "x", "md", "last", "one", "two")
    ]
    assert [each["index"] for each in found[-2:]] == [0, 1]
    assert "From here on" in found[-1]["text"]
    assert found[3]["outcome"] == "unparsed"
    assert found[5]["file"].endswith("\ufffd.eml")
    assert all(list(each) == list(blank(b"", "", 0)) for each in found)


def test_a_path_that_cannot_be_read_is_a_line_and_the_exit_status(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(MAIL % b"a")
    code, found, _ = run("none.eml", "a.eml", cwd=tmp_path)
    assert code == 1
    assert [each["outcome"] for each in found] == ["unreadable", "parsed"]


def test_a_mail_that_makes_the_parser_run_wild_does_not_hold_up_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"Content-Type: text/html\n\n" + b"<div>" * 19_000 + b"x")
    (tmp_path / "b.eml").write_bytes(MAIL % b"b")
    code, found, _ = run("a.eml", "b.eml", "--thread", cwd=tmp_path)
    assert code == 0
    assert found[0]["outcome"] in ("parsed", "partial", "unparsed")
    assert (found[1]["outcome"], found[1]["conversation"]["how"]) == ("parsed", "new")


def test_an_account_of_a_configuration(tmp_path: Path) -> None:
    config = Path(__file__).parents[2] / "examples" / "config" / "switchboard.yaml"
    (tmp_path / "a.eml").write_bytes(MAIL.replace(b"help@shop.example", b"x@else.example") % b"a")
    code, found, errors = run("a.eml", "--config", config, "--account", "support", "--assume-verified", cwd=tmp_path)
    assert code == 0, errors
    assert "not_addressed_to_us" in found[0]["may_auto_answer"]["because"]
    assert run("a.eml", "--config", config, "--account", "nobody", cwd=tmp_path)[0] == 2


@pytest.mark.parametrize(("unknown", "because"), [("fixed", []), ("never", ["unknown_sender"])])
def test_whether_a_machine_answers_an_unproved_sender_is_the_policys_word(
    tmp_path: Path, unknown: str, because: list[str]
) -> None:
    config = tmp_path / "config"
    shutil.copytree(Path(__file__).parents[2] / "examples" / "config", config)
    file = config / "switchboard.yaml"
    file.write_text(file.read_text().replace("  unknown: fixed ", f"  unknown: {unknown} "))
    to_us = MAIL.replace(b"help@shop.example", b"support@example.com") % b"a"
    (tmp_path / "a.eml").write_bytes(to_us)
    code, (found,), errors = run("a.eml", "--config", file, "--account", "support", cwd=tmp_path)
    assert code == 0, errors
    assert (found["auth"]["verdict"], found["may_auto_answer"]["because"]) == ("unknown", because)
    (alone,) = run("a.eml", cwd=tmp_path)[1]
    assert alone["may_auto_answer"]["because"] == ["unknown_sender"], "without a policy nothing is promised"
