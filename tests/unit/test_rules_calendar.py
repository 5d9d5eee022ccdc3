"""Business hours: openings, deadlines, holidays, the nights with a missing or a second hour."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rules.calendar import ALWAYS, Calendar, compile_calendar
from rules.model import BusinessHours

BERLIN = ZoneInfo("Europe/Berlin")


def calendar(hours: dict[str, list[str]], holidays: tuple[str, ...] = (), timezone: str = "Europe/Berlin") -> Calendar:
    return compile_calendar(BusinessHours.model_validate({"timezone": timezone, "holidays": holidays, "hours": hours}))


def at(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


WEEK = {"mon-fri": ["09:00-12:30", "13:30-18:00"], "sat": ["10:00-14:00"]}


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-03-04T09:00", True),
        ("2026-03-04T08:59:59", False),
        ("2026-03-04T12:30", False),
        ("2026-03-04T13:30", True),
        ("2026-03-04T18:00", False),
        ("2026-03-07T13:59", True),
        ("2026-03-08T11:00", False),
    ],
)
def test_open_at_the_first_minute_closed_at_the_last(moment: str, is_open: bool) -> None:
    assert calendar(WEEK).is_open(at(moment)) is is_open


def test_a_holiday_of_the_region_and_a_day_of_ones_own_are_closed() -> None:
    berlin = calendar({"mon-sun": ["09:00-18:00"]}, ("DE-BE", "2026-03-05"))
    assert not berlin.is_open(at("2026-03-08T10:00"))  # Women's Day: a holiday in Berlin
    assert calendar({"mon-sun": ["09:00-18:00"]}, ("DE-BY",)).is_open(at("2026-03-08T10:00"))
    assert not berlin.is_open(at("2026-03-05T10:00"))
    assert berlin.next_open(at("2026-03-04T18:00")) == at("2026-03-06T09:00")


def test_next_open() -> None:
    week = calendar(WEEK)
    assert week.next_open(at("2026-03-07T14:00")) == at("2026-03-09T09:00")
    assert week.next_open(at("2026-03-04T10:15")) == at("2026-03-04T10:15")
    assert calendar({"mon": ["09:00-10:00"]}, tuple(f"20{y}-01-01" for y in range(10, 20))).next_open(
        at("2026-03-04T10:15")
    )


@pytest.mark.parametrize(
    ("start", "span", "end"),
    [
        ("2026-03-04T10:00", timedelta(hours=1), "2026-03-04T11:00"),
        ("2026-03-04T12:00", timedelta(hours=1), "2026-03-04T14:00"),
        ("2026-03-04T12:00", timedelta(minutes=30), "2026-03-04T12:30"),
        ("2026-03-06T17:00", timedelta(hours=2), "2026-03-07T11:00"),
        ("2026-03-08T03:00", timedelta(0), "2026-03-09T09:00"),
        ("2026-03-04T10:00", timedelta(hours=44), "2026-03-11T10:00"),
    ],
)
def test_only_open_time_counts(start: str, span: timedelta, end: str) -> None:
    assert calendar(WEEK).add_business_time(at(start), span) == at(end)


def test_over_midnight_and_around_the_clock() -> None:
    night = calendar({"fri": ["22:00-06:00"]})
    assert night.is_open(at("2026-03-07T05:59"))
    assert not night.is_open(at("2026-03-07T06:00"))
    assert night.add_business_time(at("2026-03-06T20:00"), timedelta(hours=3)) == at("2026-03-07T01:00")
    whole = calendar({"mon-sun": ["00:00-24:00"]})
    assert whole.add_business_time(at("2026-03-06T20:00"), timedelta(hours=30)) == at("2026-03-08T02:00")


def test_whether_a_place_that_never_closes_is_open_is_seen_from_the_days_around_it() -> None:
    """Three years of days were looked at for each question, and a router decided five messages a second."""
    whole = calendar({"mon-sun": ["00:00-24:00"]})
    assert whole.is_open(at("2026-03-04T10:00"))
    assert whole.next_open(at("2026-03-04T10:00")) == at("2026-03-04T10:00")
    assert whole.add_business_time(at("2026-03-04T10:00"), timedelta(hours=1)) == at("2026-03-04T11:00")
    assert whole._day.cache_info().currsize <= 14, "days, once, for all questions about this one"


def test_a_night_that_runs_into_the_next_morning_counts_once() -> None:
    night = calendar({"fri": ["22:00-06:00"], "sat": ["05:00-08:00"]})
    assert night.is_open(at("2026-03-07T05:30"))
    assert night.add_business_time(at("2026-03-06T22:00"), timedelta(hours=9)) == at("2026-03-07T07:00")


def test_the_night_that_skips_an_hour() -> None:
    whole = calendar({"mon-sun": ["00:00-24:00"]})
    assert whole.add_business_time(at("2026-03-29T00:00"), timedelta(hours=3)) == at("2026-03-29T04:00")
    assert not calendar({"sun": ["02:00-02:30"]}).is_open(at("2026-03-29T03:15"))
    half = calendar({"sun": ["02:30-03:30"]})
    assert half.next_open(at("2026-03-29T00:00")) == at("2026-03-29T03:00")
    assert half.add_business_time(at("2026-03-29T00:00"), timedelta(minutes=30)) == at("2026-03-29T03:30")


def test_the_night_that_repeats_an_hour() -> None:
    sunday = calendar({"sun": ["01:00-04:00"]})
    assert sunday.add_business_time(at("2026-10-25T01:00"), timedelta(hours=4)) == at("2026-10-25T04:00")
    half = calendar({"sun": ["01:00-02:30"]})
    end = at("2026-10-25T02:30", 1).astimezone(UTC)
    assert half.add_business_time(at("2026-10-25T01:00"), timedelta(hours=2)) == end
    assert sunday.is_open(at("2026-10-25T02:30")) and sunday.is_open(at("2026-10-25T02:30", fold=1))


@pytest.mark.parametrize("night", ["2026-03-29", "2026-10-25"])
@pytest.mark.parametrize(
    "spans", [["02:00-02:30"], ["02:15-02:45", "02:50-04:00"], ["01:30-02:10", "02:20-03:00"], ["02:30-03:30"]]
)
def test_it_is_open_when_the_clock_on_the_wall_says_so(night: str, spans: list[str]) -> None:
    place, begin = calendar({"sun": spans}), at(f"{night}T00:00").astimezone(UTC)
    counted = timedelta()
    for minute in range(6 * 60):
        moment = begin + timedelta(minutes=minute)
        wall = f"{moment.astimezone(BERLIN):%H:%M}"
        is_open = any(span[:5] <= wall < span[6:] for span in spans)
        assert place.is_open(moment) is is_open, (moment, wall)
        if is_open:
            counted += timedelta(minutes=1)
            assert place.add_business_time(begin, counted) == moment + timedelta(minutes=1)


def test_a_night_that_meets_the_next_days_hours_in_the_hour_that_comes_twice_loses_none_of_it() -> None:
    """Of the second hour's first half was told, and the first hour's second half was forgotten."""
    meets = calendar({"sat": ["22:00-02:30"], "sun": ["02:30-05:00"]})
    whole = calendar({"sat": ["22:00-05:00"]})
    start = at("2026-10-24T21:00")
    for minutes in range(0, 8 * 60, 15):
        moment = at("2026-10-24T22:00").astimezone(UTC) + timedelta(minutes=minutes)
        assert meets.is_open(moment) == whole.is_open(moment), moment
        span = timedelta(minutes=minutes)
        assert meets.add_business_time(start, span) == whole.add_business_time(start, span), span
    closed_between = calendar({"sat": ["22:00-02:15"], "sun": ["02:45-05:00"]})
    for fold in (0, 1):
        opening = closed_between.next_open(at("2026-10-25T02:15", fold))
        assert opening == at("2026-10-25T02:45", fold).astimezone(UTC)
    assert closed_between.is_open(at("2026-10-25T02:10", fold=1))


def test_results_are_utc() -> None:
    assert calendar(WEEK).add_business_time(at("2026-07-01T10:00"), timedelta(hours=1)).tzinfo is UTC
    assert ALWAYS.add_business_time(at("2026-07-01T10:00"), timedelta(hours=1)) == at("2026-07-01T11:00")


def test_words() -> None:
    week = calendar(WEEK)
    assert week.text("en") == "Mon–Fri 09:00–12:30, 13:30–18:00; Sat 10:00–14:00"
    assert week.text("de-AT").startswith("Mo–Fr 09:00")
    assert week.text("xx") == week.text(None) == week.text("en")
    assert week.moment_text(at("2026-03-09T09:00"), "fr") == "lundi, 09/03/2026, 09:00"
    assert calendar({"sat": ["22:00-02:00"]}).text("en") == "Sat 22:00–02:00"
    assert ALWAYS.text("de") == "immer geöffnet"


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"timezone": "Europe/Berln"}, "unknown timezone"),
        ({"timezone": "../../etc/passwd"}, "unknown timezone"),
        ({"holidays": ["DE-XX"]}, "no holidays are known for DE-XX"),
        ({"holidays": ["Berlin"]}, "neither a region"),
        ({"hours": {"mon-fr": ["09:00-10:00"]}}, "names no days"),
        ({"hours": {"mon": ["9-10"]}}, "no span of time"),
        ({"hours": {"mon": ["09:00-24:30"]}}, "no span of time"),
        ({"hours": {"mon": ["09:00-09:00"]}}, "no span of time"),
        ({"hours": {"mon": ["09:00-12:00"], "mon-fri": ["11:00-13:00"]}}, "overlap at 11:00"),
        ({"hours": {}}, "never open"),
        ({"hours": {"mon": []}}, "never open"),
    ],
)
def test_a_wrong_calendar_says_what_is_wrong(values: dict[str, object], what: str) -> None:
    good: dict[str, object] = {"timezone": "Europe/Berlin", "hours": {"mon": ["09:00-10:00"]}}
    with pytest.raises(ValueError, match=what):
        compile_calendar(BusinessHours.model_validate({**good, **values}))
