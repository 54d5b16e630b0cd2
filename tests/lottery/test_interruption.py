import signal

import pytest

from lth_jax.lottery import interruption


def test_a_signal_that_comes_while_handlers_are_set_is_deferred(monkeypatch):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    real, announced = signal.signal, []

    def set_and_receive(signum, handler):
        previous = real(signum, handler)
        if not announced:
            signal.raise_signal(signum)
        return previous

    monkeypatch.setattr(signal, "signal", set_and_receive)
    with interruption.deferred(announced.append) as check:
        assert announced[0].startswith("SIGINT: saving")
        with pytest.raises(interruption.Interrupted, match="SIGINT"):
            check()
    monkeypatch.undo()
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_saves_where_a_shell_has_it_ignored():
    """As of a job that a script starts in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruption.deferred(lambda text: None) as check:
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(interruption.Interrupted, match="SIGINT"):
                check()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_hangup_saves_too_but_not_where_it_is_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    try:
        check_hangups()
    finally:
        signal.signal(signal.SIGHUP, before)


def check_hangups():
    with interruption.deferred(lambda text: None) as check:
        check()
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(interruption.Interrupted, match="SIGHUP"):
            check()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    with interruption.deferred(lambda text: None) as check:
        signal.raise_signal(signal.SIGHUP)
        check()
