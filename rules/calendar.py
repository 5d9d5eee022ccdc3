"""Business hours: when a queue is open, and how long a promise lasts when only open time counts.

Hours are local wall time: it is open whenever the clock on the wall shows a time in a span. In the night that skips an
hour a span shrinks to what exists of it; in the night that repeats one, a span in it comes twice. All results are
instants in UTC.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import holidays

from rules.model import BusinessHours

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SEARCH = timedelta(days=3 * 366)
"""How far ahead we look. No opening and no deadline lies further away."""

_TIME = r"([01]\d|2[0-4]):([0-5]\d)"
_SPAN = re.compile(rf"{_TIME}-{_TIME}")
_REGION = re.compile(r"([A-Z]{2})(?:-([A-Za-z0-9]{1,8}))?")
_SHORT_DAYS = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "de": ("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"),
    "fr": ("lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."),
    "es": ("lun.", "mar.", "mié.", "jue.", "vie.", "sáb.", "dom."),
}
_LONG_DAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "de": ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
    "fr": ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
}
_DATE = {"en": "%Y-%m-%d", "de": "%d.%m.%Y", "fr": "%d/%m/%Y", "es": "%d/%m/%Y"}
_ALWAYS_TEXT = {"en": "always open", "de": "immer geöffnet", "fr": "toujours ouvert", "es": "siempre abierto"}

Minutes = tuple[int, int]
Instants = tuple[datetime, datetime]


def _language(language: str | None) -> str:
    short = (language or "en").lower().split("-")[0]
    return short if short in _LONG_DAYS else "en"


class Calendar:
    """Opening hours of one place. Knows no clock: every question brings its moment."""

    def __init__(
        self, zone: ZoneInfo, week: tuple[tuple[Minutes, ...], ...], closed: "ClosedDays", name: str = ""
    ) -> None:
        """`week`: seven days from Monday, each a sorted list of spans in minutes from midnight. `name`: what the policy
        calls it."""
        self.zone = zone
        self.name = name
        self._week = week
        self._closed = closed
        # A queue asks for the same few days over and over.
        self._day = lru_cache(maxsize=1024)(self._day_uncached)
        self._days_from = lru_cache(maxsize=256)(self._days_from_uncached)
        # A batch is decided at one moment.
        self._is_open = lru_cache(maxsize=16)(self._is_open_uncached)

    def is_open(self, moment: datetime) -> bool:
        """True at the opening minute, False at the closing one."""
        return self._is_open(moment)

    def _is_open_uncached(self, moment: datetime) -> bool:
        moment = moment.astimezone(UTC)
        start, end = next(self._spans(moment), (None, None))
        return start is not None and end is not None and start <= moment < end

    def is_holiday(self, day: date) -> bool:
        """A public holiday, or a day of one's own, at this place."""
        return self._closed.on(day)

    def next_open(self, moment: datetime) -> datetime | None:
        """The first open instant at or after `moment`; None if there is none within `SEARCH`."""
        moment = moment.astimezone(UTC)
        return next((start for start, _ in self._spans(moment)), None)

    def add_business_time(self, moment: datetime, span: timedelta) -> datetime:
        """The instant at which `span` of open time has passed since `moment`: always within open time or at its end,
        and never more than `SEARCH` away.
        """
        moment = moment.astimezone(UTC)
        horizon = moment + SEARCH
        left = max(span, timedelta())
        # Nearly every promise ends within days; those that do not begin again with the long look.
        near, ends = self._days_from(moment.astimezone(self.zone).date())
        for spans in (near[bisect_right(ends, moment) :], self._spans(moment)):
            rest = left
            for start, end in spans:
                begin = start if start > moment else moment
                if rest <= end - begin:
                    return min(begin + rest, horizon)
                rest -= end - begin
        return horizon

    def text(self, language: str | None = None) -> str:
        """The week in words: `Mon–Fri 09:00–12:30, 13:30–18:00; Sat 10:00–14:00`."""
        names = _SHORT_DAYS[_language(language)]
        parts: list[str] = []
        day = 0
        while day < 7:
            last = day
            while last < 6 and self._week[last + 1] == self._week[day]:
                last += 1
            if self._week[day]:
                hours = ", ".join(f"{_clock(start)}–{_clock(end)}" for start, end in self._week[day])
                label = names[day] if day == last else f"{names[day]}–{names[last]}"
                parts.append(f"{label} {hours}")
            day = last + 1
        return "; ".join(parts)

    def moment_text(self, moment: datetime, language: str | None = None) -> str:
        """A moment as customers read it, in local time: `Monday, 2026-01-05, 09:00`."""
        short = _language(language)
        local = moment.astimezone(self.zone)
        return f"{_LONG_DAYS[short][local.weekday()]}, {local.strftime(_DATE[short])}, {local:%H:%M}"

    def _spans(self, moment: datetime) -> Iterator[Instants]:
        """What is open from `moment` on, in order. Spans may touch, and never overlap.

        They are not joined where they touch: a place that never closes would have to be looked at to its end.
        """
        # The day before: a span that began then may reach past midnight.
        day = moment.astimezone(self.zone).date() - timedelta(days=1)
        last = day + SEARCH
        reached = moment
        later: list[Instants] = []
        while day <= last:
            spans, day = sorted([*later, *self._day(day)]), day + timedelta(days=1)
            # Where an hour comes twice, the second part of a span that reaches past midnight waits for what is open
            # in between.
            tomorrow = self._day(day)
            first_of_it = tomorrow[0][0] if tomorrow else spans[-1][1] if spans else moment
            later = [span for span in spans if span[0] >= first_of_it]
            for start, end in spans[: len(spans) - len(later)]:
                if end > reached:
                    yield max(start, reached), end
                    reached = end

    def _days_from_uncached(self, day: date) -> tuple[tuple[Instants, ...], list[datetime]]:
        """What is open on a day and about a week after it, as `_spans` gives it, and the ends of that by themselves;
        from the day before, whose last span may reach past midnight."""
        try:
            first = datetime.combine(day - timedelta(days=1), time(), UTC) - timedelta(days=1)
        except OverflowError:
            return (), []
        spans = tuple(takewhile(lambda span: span[0] < first + timedelta(days=10), self._spans(first)))
        return spans, [end for _, end in spans]

    def _day_uncached(self, day: date) -> tuple[Instants, ...]:
        if self._closed.on(day):
            return ()
        spans: list[Instants] = []
        for span in self._week[day.weekday()]:
            start, end = (datetime.combine(day, time(), self.zone) + timedelta(minutes=each) for each in span)
            (begin, begin_again), (finish, finish_again) = self._instants(start), self._instants(end)
            if begin == begin_again and finish == finish_again:
                spans.append((begin, finish))
                continue
            # It begins or ends in an hour that comes twice: before the clock is set back, and after.
            change = self._change(start if begin != begin_again else end)
            spans += [(begin, min(finish, change)), (max(begin_again, change), finish_again)]
        return tuple(sorted(span for span in spans if span[0] < span[1]))

    def _instants(self, local: datetime) -> tuple[datetime, datetime]:
        """When it is that time: twice the same but for an hour that comes twice; what is skipped is its end."""
        early, late = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        if early.astimezone(self.zone).replace(tzinfo=None) != local.replace(tzinfo=None):
            early = late = self._change(local)
        return early, late

    def _change(self, local: datetime) -> datetime:
        """The instant at which the clock is set, around a time that comes twice or never."""
        early, late = sorted(local.replace(fold=f).astimezone(UTC) for f in (0, 1))
        offset = early.astimezone(self.zone).utcoffset()
        while late - early > timedelta(seconds=1):
            middle = early + (late - early) / 2
            if middle.astimezone(self.zone).utcoffset() == offset:
                early = middle
            else:
                late = middle
        return late.replace(microsecond=0)


class AlwaysOpen(Calendar):
    """What holds where nobody configured hours."""

    def __init__(self) -> None:
        super().__init__(ZoneInfo("UTC"), (((0, 1440),),) * 7, ClosedDays(()))

    def is_open(self, moment: datetime) -> bool:
        return True

    def next_open(self, moment: datetime) -> datetime | None:
        return moment.astimezone(UTC)

    def add_business_time(self, moment: datetime, span: timedelta) -> datetime:
        return moment.astimezone(UTC) + max(span, timedelta())

    def text(self, language: str | None = None) -> str:
        return _ALWAYS_TEXT[_language(language)]


REMEMBERED = 4096


class ClosedDays:
    """Public holidays of the named regions, and dates of one's own. Raises ValueError for an unknown entry."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        self._dates: set[date] = set()
        self._regions: list[holidays.HolidayBase] = []
        self._known: dict[date, bool] = {}
        """Asked before: the same few days come up in every decision."""
        for entry in entries:
            if match := _REGION.fullmatch(entry):
                self._regions.append(_region(match[1], match[2]))
                continue
            try:
                self._dates.add(date.fromisoformat(entry))
            except ValueError:
                raise ValueError(f"{entry!r} is neither a region such as DE-BE nor a date such as 2026-12-24") from None

    def on(self, day: date) -> bool:
        found = self._known.get(day)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[day] = day in self._dates or any(day in region for region in self._regions)
        return found


def _region(country: str, subdivision: str | None) -> holidays.HolidayBase:
    try:
        return holidays.country_holidays(country, subdiv=subdivision)
    except NotImplementedError as error:
        raise ValueError(f"no holidays are known for {country}{'-' + subdivision if subdivision else ''}") from error


def _clock(minutes: int) -> str:
    hours, rest = divmod(minutes % 1440 if minutes > 1440 else minutes, 60)
    return f"{hours:02}:{rest:02}"


def parse_days(written: str) -> tuple[int, ...]:
    """`mon-fri`, `sat`, `mon,wed`, `fri-mon` → weekday numbers from Monday = 0. Raises ValueError."""
    found: list[int] = []
    for part in written.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"{written!r} names no days (write mon-fri, sat or mon,wed)")
        start = DAYS.index(first)
        end = DAYS.index(last) if dash else start
        found += [(start + i) % 7 for i in range((end - start) % 7 + 1)]
    return tuple(found)


def parse_span(written: str) -> Minutes:
    """`09:00-12:30` → minutes from midnight; `22:00-06:00` ends on the next day. Raises ValueError."""
    match = _SPAN.fullmatch(written.replace(" ", "").replace("–", "-"))
    if match is None:
        raise ValueError(f"{written!r} is no span of time (write 09:00-12:30)")
    start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if end > 1440 or start >= 1440 or start == end:
        raise ValueError(f"{written!r} is no span of time (00:00-24:00 is the whole day)")
    return start, end if end > start else end + 1440


def compile_calendar(source: BusinessHours, name: str = "") -> Calendar:
    """Raises ValueError with what is wrong: zone, holidays, days, spans, overlaps, or closed for ever."""
    try:
        zone = ZoneInfo(source.timezone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown timezone {source.timezone!r} (write Europe/Berlin)") from None
    closed = ClosedDays(source.holidays)
    week: list[list[Minutes]] = [[] for _ in DAYS]
    for days, spans in source.hours.items():
        for day in parse_days(days):
            week[day] += [parse_span(span) for span in spans]
    for day, spans_of_day in enumerate(week):
        spans_of_day.sort()
        for (_, end), (start, _) in pairwise(spans_of_day):
            if start < end:
                raise ValueError(f"two spans on {DAYS[day]} overlap at {_clock(start)}")
    if not any(week):
        raise ValueError("it is never open: hours name no span")
    return Calendar(zone, tuple(tuple(day) for day in week), closed, name)


ALWAYS: Calendar = AlwaysOpen()
