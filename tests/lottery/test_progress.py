"""What the bar says, by a clock of its own."""

import io
import sys
from typing import NamedTuple

import pytest

from lth_jax.lottery import progress
from lth_jax.lottery.progress import Progress, named


class Job(NamedTuple):
    level: int
    arm: str


TICKET, REINIT = Job(0, "ticket"), Job(1, "reinit")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds, moved by hand."""
    now = [1e6]
    monkeypatch.setattr(progress.time, "time", lambda: now[0])
    return now


@pytest.fixture
def told(monkeypatch):
    """What the bar wrote, once more line after line."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return lambda: terminal.getvalue().replace("\r", "\n").splitlines()


@pytest.fixture
def bar(clock, told):
    with Progress(10_000) as bar:
        bar.start_t = bar.last_print_t = clock[0]
        bar._time = lambda: clock[0]
        yield bar


def speed(bar):
    """Steps a second and seconds left, as the bar has them."""
    rate = (bar.n - bar.initial) / bar.format_dict["elapsed"]
    return rate, (bar.total - bar.n) / rate


def test_it_says_what_compiles_before_anything_is_trained(bar, clock, told):
    with bar.compiling([TICKET]):
        clock[0] += 60
        assert told()[-1].startswith("compiling level 0 ticket:   0%")
    clock[0] += 1
    bar.advance(500)
    assert speed(bar) == (500, 19)
    assert any(line.startswith("level 0 ticket:") for line in told())


def test_what_compiles_later_does_not_count_for_the_speed(bar, clock):
    clock[0] += 1
    bar.advance(500)
    with bar.compiling([REINIT]):
        clock[0] += 100
    for counted in (0, 3):  # the first time and the next
        with bar.once("measure"):
            clock[0] += 3
        assert bar.format_dict["elapsed"] == pytest.approx(1 + counted)


def test_what_was_done_before_does_not_count_for_the_speed(bar, clock):
    bar.skip(4_000)
    clock[0] += 2
    bar.advance(600)
    assert speed(bar) == (300, 18)


def test_the_whole_study_is_estimated_once_from_its_first_seconds(bar, clock, told):
    with bar.compiling([TICKET]):
        clock[0] += 60
    for _ in range(40):
        clock[0] += 0.5
        bar.advance(100)
    (line,) = [line for line in told() if "left to train" in line]
    assert line.startswith("00:48 left to train")  # 9600 steps at 200 a second
    assert "(200 steps/s)" in line


def test_it_ends_with_a_full_bar_however_long_it_compiled(bar, clock, told):
    bar.mininterval = 1e3  # as in a log
    with bar.compiling([TICKET]):
        clock[0] += 60
    clock[0] += 1
    bar.advance(bar.total)
    bar.close()
    assert told()[-1].startswith("level 0 ticket: 100%")


def test_jobs_have_short_names():
    arms = [Job(2, arm) for arm in ("reinit", "shuffle", "random", "set", "rigl")]
    assert named(arms[:1]) == "level 2 reinit"
    assert named(arms[:3]) == "level 2 reinit, shuffle, random"
    assert named(arms) == "level 2 reinit, shuffle, random and 2 more"
    assert named([Job(3, "reinit"), Job(1, "reinit")]) == "levels 1 to 3 reinit"
