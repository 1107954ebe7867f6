"""Cron lines on the command line have the runs that the installed Celery computes."""

import json
import os
import subprocess

import crontab_table

SEED = int(os.environ.get("CELERIAC_TEST_FIRST_SEED", "1"))
ROWS = 120


def preview(binary, line, after, count):
    """The next runs in seconds since the epoch; None when the line is refused."""
    ran = subprocess.run(
        [binary("celeriac"), "--json", "schedules", "preview", f"--crontab={line}", f"--after={after.isoformat()}",
         f"--count={count}"],
        capture_output=True, text=True, timeout=60, check=False,
    )
    if ran.returncode == 64:
        assert "crontab" in ran.stderr, ran.stderr
        return None
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)["ticks"]


def test_random_cron_lines_run_when_celery_says(binary):
    compared = 0
    for line, after, expected in crontab_table.rows(ROWS, 10_000 + SEED):
        found = preview(binary, line, after, 3)
        if expected is not None:
            expected = [at.strftime("%Y-%m-%dT%H:%M:%S.000000Z") for at in expected]
            compared += 1
        assert found == expected, f"{line!r} after {after}"
    assert compared > ROWS / 2
