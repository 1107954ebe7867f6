"""Writes when Celery sees the sun rise: the fixture of the Rust tests. Needs `celery[solar]`.

    python solar_table.py > celeriac/src/schedule/solar/celery.tsv

Each row is an event, a latitude, a longitude, a start and the next event, in seconds since the
epoch. Fields are separated by tabs.
"""

from datetime import datetime, timedelta, timezone

import ephem
from celery import Celery
from celery.schedules import solar

APP = Celery("table", broker="memory://")
EVENTS = [
    "dawn_astronomical", "dawn_nautical", "dawn_civil", "sunrise", "solar_noon", "sunset", "dusk_civil",
    "dusk_nautical", "dusk_astronomical",
]
PLACES = [
    (0.0, 0.0), (0.0, 179.9), (0.0, -180.0), (52.52, 13.405), (-33.87, 151.21), (40.71, -74.01), (64.15, -21.94),
    (-54.8, -68.3), (35.68, 139.69), (21.31, -157.86), (65.0, 25.5), (-65.0, 140.0), (1.35, 103.82), (-13.83, -171.76),
]
# Places where some events are missing for weeks or months.
POLAR = [(69.65, 18.96), (78.22, 15.65), (-77.85, 166.67)]
STARTS = [datetime(year, month, day, hour, tzinfo=timezone.utc) for year, month, day, hour in [
    (1985, 6, 21, 0), (2000, 3, 20, 7), (2024, 2, 29, 13), (2025, 6, 20, 22), (2026, 9, 22, 6), (2026, 12, 21, 12),
    (2027, 4, 10, 18), (2037, 11, 1, 3),
]]


def main():
    for places in (PLACES, POLAR):
        for latitude, longitude in places:
            for event in EVENTS:
                schedule = solar(event, latitude, longitude, app=APP)
                for begin in STARTS:
                    schedule.cal.date = begin
                    found = schedule._next_event(ephem.Date(begin)).datetime()
                    found = (found + timedelta(milliseconds=500)).replace(microsecond=0, tzinfo=timezone.utc)
                    print(event, latitude, longitude, int(begin.timestamp()), int(found.timestamp()), sep="\t")


if __name__ == "__main__":
    main()
