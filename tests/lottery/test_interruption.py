"""Signals, each to a process of its own or handled in this one."""

import contextlib
import signal
import subprocess
import threading
import time

import pytest
from support import bare

from lth_jax.errors import Exit
from lth_jax.lottery import interruption
from lth_jax.lottery.interruption import SIGNALS, Interrupted, Interruption, Signals

# What sends itself signals, seconds after one another, while a call trains for so many
# seconds and then is saved for so many, or while all is saved. It is told too which
# signals are one request, how long it waits for a call, and how long that goes on.
PROGRAM = """
import os, signal, sys, threading, time
from lth_jax.lottery import interruption
from lth_jax.lottery.interruption import Interrupted, Signals
call, save, within, answer, left = map(float, sys.argv[1:6])
interruption._ONE_REQUEST_SECONDS, interruption.ANSWER_SECONDS = within, answer
sent = [x.split(":") for x in sys.argv[6:]]
signals = Signals(lambda text: print(text, flush=True))
signals.listen()
def send():
    for seconds, number in sent:
        time.sleep(float(seconds))
        os.kill(os.getpid(), int(number))
threading.Thread(target=send).start()
if call:
    try:
        with signals.unsaved(lambda: left or None):
            time.sleep(call)
            signals.is_asked()
            time.sleep(save)
            print("saved")
    except Interrupted:
        sys.exit(85)
time.sleep(60)
"""


def sent(call, within, *signals, save=0, answer=60, left=0):
    """How it ends: exit code and output."""
    arguments = [f"{seconds}:{int(number)}" for seconds, number in signals]
    command = bare.command(PROGRAM, call, save, within, answer, left, *arguments)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout


def test_two_signals_at_once_are_one_and_wait_for_what_is_unsaved():
    term = signal.SIGTERM
    code, out = sent(0.5, 9, (0.1, term), (0.01, term), (0.05, signal.SIGUSR1))
    assert code == Exit.SAVED
    first, last = out.splitlines()
    assert first.startswith("SIGTERM: saving as soon as") and last == "saved"


@pytest.mark.parametrize(("left", "told"), [(1.2, " in about 2 s;"), (0, " ends; once")])
def test_it_says_how_long_the_call_in_flight_takes_if_that_is_known(left, told):
    _, out = sent(0.2, 9, (0.1, signal.SIGINT), left=left)
    assert out.startswith("SIGINT: saving as soon as this compiled call ends")
    assert told in out.splitlines()[0]


def test_a_later_one_stops_at_once():
    code, out = sent(30, 0.1, (0.1, signal.SIGTERM), (0.2, signal.SIGINT))
    assert code == 128 + signal.SIGINT
    assert out.splitlines()[1:] == ["SIGINT: stopping at once"]


def test_a_call_that_goes_on_is_not_waited_for():
    code, out = sent(30, 9, (0.1, signal.SIGTERM), (0.1, signal.SIGTERM), answer=0.5)
    assert code == Exit.SAVED
    assert out.splitlines()[1:] == [
        "the compiled call goes on after 0 s; what was trained since the last"
        " checkpoint is lost; go on with the same command"
    ]


def test_what_is_being_saved_is_waited_for():
    code, out = sent(0.3, 9, (0.1, signal.SIGTERM), save=1, answer=0.5)
    assert (code, out.splitlines()[-1]) == (Exit.SAVED, "saved")


def test_while_all_is_saved_one_ends_the_process():
    code, out = sent(0, 1, (0.1, signal.SIGUSR2))
    assert code == Exit.SAVED
    assert out == "SIGUSR2: all is saved; go on with the same command\n"


@pytest.mark.parametrize("signum", SIGNALS)
def test_each_signal_asks_and_handlers_are_put_back(signum):
    ours = signal.signal(signum, signal.SIG_DFL)  # under nohup a hangup is ignored
    try:
        before = {s: signal.getsignal(s) for s in SIGNALS}
        told = threading.Event()
        signals = Signals(lambda text: told.set())
        signals.listen()
        with contextlib.closing(signals):
            assert not signals.is_asked()
            with pytest.raises(Interrupted), signals.unsaved():
                signal.raise_signal(signum)
                assert told.wait(10) and signals.is_asked()
        assert {s: signal.getsignal(s) for s in SIGNALS} == before
    finally:
        signal.signal(signum, ours)


def test_an_interrupt_asks_where_a_shell_has_it_ignored_but_no_hangup():
    """As of a job that a script starts in the background, and under nohup."""
    ignored = signal.SIGINT, signal.SIGHUP
    before = [signal.signal(s, signal.SIG_IGN) for s in ignored]
    told = threading.Event()
    signals = Signals(lambda text: told.set())
    signals.is_unsaved = True
    try:
        signals.listen()
        with contextlib.closing(signals):
            signal.raise_signal(signal.SIGHUP)
            time.sleep(0.05)
            assert not signals.is_asked()
            signal.raise_signal(signal.SIGINT)
            assert told.wait(10) and signals.is_asked()
        assert all(signal.getsignal(s) == signal.SIG_IGN for s in ignored)
    finally:
        for s, handler in zip(ignored, before, strict=True):
            signal.signal(s, handler)


def test_what_nobody_asks_goes_on():
    with Interruption().unsaved():
        pass
    assert interruption.Interruption().is_asked() is False
