"""Importing mails from files: all of them, once, however often the import is cut short."""

import mailbox
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from channels.email.importing import BATCH, Imported, import_mails, total_bytes
from channels.email.settings import EmailSettings
from schemas import limits
from schemas.errors import NotFound, StoreUnavailable
from store.tables import interactions, outbox, payloads, policies
from tests.kit.edge import Edge, edge
from tests.kit.mails import mail

SETTINGS = {"address": "help@shop.example", "blocked": ["spam.example"]}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Edge]:
    async with edge(tmp_path / "site", {"email": {"help": SETTINGS}}) as found:
        yield found


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()


async def run(site: Edge, path: Path, *, archive: bool = False, **how: Any) -> Imported:
    return await import_mails(
        path,
        "help",
        EmailSettings.model_validate(SETTINGS),
        reader=site.parts["email"].inbound[0],  # type: ignore[arg-type]
        store=site.context.store,
        clock=site.context.clock,
        archive=archive,
        **how,
    )


def mbox(path: Path, count: int) -> Path:
    box = mailbox.mbox(path)
    for n in range(count):
        box.add(mail(f"m{n}", text=f"words {n}\r\nFrom here on"))
    box.flush()
    box.close()
    return path


async def kept(site: Edge) -> list[Any]:
    return list(await site.database.read(lambda c: c.execute(select(interactions)).all()))


async def test_a_folder_a_maildir_an_mbox_and_a_single_mail(site: Edge, tmp_path: Path) -> None:
    top = tmp_path / "mails"
    (top / "deep").mkdir(parents=True)
    (top / "one.eml").write_bytes(mail("one"))
    (top / "deep" / "two.eml").write_bytes(mail("two"))
    (top / ".index").write_bytes(b"not a mail")
    box = mailbox.Maildir(top / "box")
    box.add(mail("three"))
    mbox(top / "many", 3)
    sizes: list[int] = []
    done = await run(site, top, advanced=sizes.append)
    assert done.outcomes == {"accepted": 6}
    assert sum(sizes) == total_bytes(top), "the progress ends at 100 %"
    assert (await run(site, top / "one.eml")).outcomes == {"copy": 1}
    assert {row.body["native_id"].partition("@")[0] for row in await kept(site)} == {
        "one", "two", "three", "m0", "m1", "m2",
    }  # fmt: skip
    assert all(row.state == "received" and "backfill" in row.body["flags"] for row in await kept(site))


async def test_an_archive_is_closed_at_once_and_nobody_is_told(site: Edge, tmp_path: Path) -> None:
    assert (await run(site, mbox(tmp_path / "old", 2), archive=True)).outcomes == {"accepted": 2}
    assert {(row.state, row.reason) for row in await kept(site)} == {("closed", "archived")}
    assert await site.database.read(lambda c: c.execute(select(outbox)).all()) == []
    assert (await site.balance()).balanced


async def test_an_import_that_was_cut_short_goes_on_where_it_was(
    site: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mbox(tmp_path / "large", 2 * BATCH + 5)
    batches = 0

    def advanced(_: int) -> None:
        nonlocal batches
        batches += 1
        site.intake.away = True  # the store goes away after the first batch

    with pytest.raises(StoreUnavailable):
        await run(site, path, advanced=advanced)
    assert batches == 1
    site.intake.away = False
    done = await run(site, path)
    assert (done.skipped, done.outcomes) == (BATCH, {"accepted": BATCH + 5})
    assert (await site.balance()).total.copies == 0
    assert (await run(site, path)).skipped == 2 * BATCH + 5
    assert (await run(site, path, restart=True)).outcomes == {"copy": 2 * BATCH + 5}


async def test_other_files_under_the_same_path_are_read_from_their_beginning(site: Edge, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "2.eml").write_bytes(mail("two"))
    assert (await run(site, tmp_path / "a")).outcomes == {"accepted": 1}
    (tmp_path / "a" / "1.eml").write_bytes(mail("one"))
    assert (await run(site, tmp_path / "a")).outcomes == {"accepted": 1, "copy": 1}


async def test_bare_line_feeds_are_fine_in_files_and_a_blocked_sender_is_counted(site: Edge, tmp_path: Path) -> None:
    (tmp_path / "lf.eml").write_bytes(mail("one").replace(b"\r\n", b"\n"))
    (tmp_path / "spam.eml").write_bytes(mail("spam", sender="a@spam.example"))
    assert (await run(site, tmp_path / "lf.eml")).outcomes == {"accepted": 1}
    assert (await run(site, tmp_path / "spam.eml")).outcomes == {"blocked": 1}
    assert (await site.balance()).total.refused == 1


async def test_what_cannot_be_read_is_named_and_the_others_go_on(site: Edge, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.eml").write_bytes(mail("one"))
    os.mkfifo(tmp_path / "in" / "pipe")
    done = await run(site, tmp_path / "in")
    assert done.outcomes == {"accepted": 1}
    assert [Path(file).name for file, _ in done.unreadable] == ["pipe"]


async def test_what_could_not_be_read_once_is_read_by_the_next_run(
    site: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was skipped, and the second run said that all was well."""
    folder = tmp_path / "mails"
    folder.mkdir()
    mbox(folder / "a.mbox", 3)
    mbox(folder / "b.mbox", 2)
    opened = Path.open

    def forbidden(path: Path, *more: Any) -> Any:  # root may read whatever its mode says
        if path.name == "a.mbox":
            raise PermissionError(13, "Permission denied")
        return opened(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", forbidden)
        done = await run(site, folder)
    assert ([Path(file).name for file, _ in done.unreadable], done.outcomes) == (["a.mbox"], {"accepted": 2})
    done = await run(site, folder)
    assert (done.unreadable, done.skipped) == ([], 0)
    assert done.outcomes == {"accepted": 1, "copy": 4}, "m0 and m1 are in both boxes"
    assert (await run(site, folder)).skipped == 5


async def test_without_an_active_policy_an_import_stops_and_sets_nothing_aside(site: Edge, tmp_path: Path) -> None:
    """It passed for a bug that each mail had found: all of them became dead letters."""
    await site.database.write(lambda c: c.execute(update(policies).values(active=False)))
    with pytest.raises(NotFound, match="no policy is active"):
        await run(site, mbox(tmp_path / "box", 3))
    assert await kept(site) == []
    await site.database.write(lambda c: c.execute(update(policies).values(active=True)))
    assert (await run(site, tmp_path / "box")).outcomes == {"accepted": 3}


async def test_a_mail_over_the_limit_is_held_with_its_header(
    site: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAIL_BYTES", 1000)
    (tmp_path / "big.eml").write_bytes(mail("big", text="x" * 2000))
    assert (await run(site, tmp_path / "big.eml")).outcomes == {"held": 1}
    (row,) = await kept(site)
    assert (row.state, row.reason, row.body["subject"]) == ("held", "too_large", "Hello")
    (payload,) = await site.database.read(lambda c: c.execute(select(payloads)).all())
    assert b"x" * 100 not in payload.raw
