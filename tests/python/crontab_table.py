"""Writes what Celery makes of random cron lines: the fixture of the Rust tests.

    python crontab_table.py 3000 1 > celeriac/src/schedule/crontab/celery.tsv

Each row is a line, a start, and the next three runs in UTC, as seconds since the epoch after
one another; or a line and `refused`. Fields are separated by tabs.
"""

import random
import sys
from datetime import datetime, timedelta, timezone

from celery import Celery
from celery.schedules import ParseException, crontab

APP = Celery("table", broker="memory://")
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
LONG = "sunday Monday TUES wednesday thurs friday SATURDAY".split()
# Name, first and last number, names of the numbers.
FIELDS = [
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, dict(zip(range(1, 13), MONTHS))),
    (0, 6, dict(zip(range(7), DAYS))),
]
# What no parser may take for a field.
BROKEN = ["", "-1", "*-5", "a", "1-", "/5", "*/", "*/0", "1-5/", "1-5/0", "1,", ",1", "?", "L", "1#2", "5/2",
          "100", "60", "1.5", "*/mon", "1-5/x", "**", "@", "7-8x"]


def number(rng, first, last, names):
    value = rng.randint(first, last)
    if names and rng.random() < 0.4:
        if len(names) == 7 and rng.random() < 0.3:
            return LONG[value]
        return names[value]
    return f"{value:02}" if rng.random() < 0.1 else str(value)


def part(rng, first, last, names):
    kind = rng.random()
    if kind < 0.15:
        return "*"
    if kind < 0.4:
        return f"*/{rng.choice([1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 70])}"
    one = number(rng, first, last, names)
    if kind < 0.65:
        return one
    other = number(rng, first, last, names)
    step = f"/{rng.randint(1, 9)}" if rng.random() < 0.4 else ""
    return f"{one}-{other}{step}"


def field(rng, first, last, names):
    if rng.random() < 0.3:
        return "*"
    parts = rng.choice([1, 1, 1, 2, 3])
    return ",".join(part(rng, first, last, names) for _ in range(parts))


def line(rng):
    fields = [field(rng, *kind) for kind in FIELDS]
    chance = rng.random()
    if chance < 0.06:
        at = rng.randrange(5)
        fields[at] = rng.choice(BROKEN)
    elif chance < 0.1:
        at = rng.randrange(5)
        fields[at] = str(FIELDS[at][1] + rng.choice([1, 2, 30]))
    elif chance < 0.16:
        fields[2], fields[3] = rng.choice(["29", "30", "31", "30,31", "29-31"]), rng.choice(["2", "feb", "4,6", "2,4"])
    return " ".join(fields)


def start(rng):
    """Most starts are anywhere, some at ends of days, months and years."""
    at = datetime(2023, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=rng.randrange(8 * 365 * 86400))
    chance = rng.random()
    if chance < 0.2:
        at = at.replace(hour=23, minute=59, second=rng.choice([0, 59]))
    elif chance < 0.3:
        at = at.replace(day=28, hour=23, minute=59)
    elif chance < 0.4:
        at = at.replace(month=12, day=31, hour=23, minute=rng.randrange(60))
    elif chance < 0.5:
        at = at.replace(minute=0, second=0)
    return at


def runs(text, begin, count):
    """The next runs of a line, one after the other; None when Celery refuses the line."""
    try:
        schedule = crontab.from_string(text)
    except (ValueError, ParseException, IndexError):
        return None
    schedule.app = APP
    schedule.nowfun = lambda: begin
    found = []
    for _ in range(count):
        last, delta, _ = schedule.remaining_delta(begin, tz=timezone.utc)
        begin = last + delta
        found.append(begin)
    return found


def rows(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        text, begin = line(rng), start(rng)
        try:
            found = runs(text, begin, 3)
        except RuntimeError:
            continue  # Celery gives up on dates that come seldom.
        yield text, begin, found


def main():
    for text, begin, found in rows(int(sys.argv[1]), int(sys.argv[2])):
        if found is None:
            print(text, "refused", sep="\t")
            continue
        times = [int(at.timestamp()) for at in [begin, *found]]
        steps = [times[0]] + [later - earlier for earlier, later in zip(times, times[1:])]
        print(text, *steps, sep="\t")


if __name__ == "__main__":
    main()
