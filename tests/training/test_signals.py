"""Ctrl-C and SIGTERM: handled once for all that comes together, and outlived by helpers."""

import contextlib
import os
import signal

import pytest

from fer_hf.training import signals
from fer_hf.training.signals import handling_signals, init_worker, interrupted_by_signals

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_and_its_echo_are_handled_once_and_a_later_one_again(number, monkeypatch):
    now, handled = [0.0], []
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    with handling_signals(lambda: handled.append(now[0])):
        for moment in (10.0, 10.1, 11.9, 12.1, 13.0):
            now[0] = moment
            os.kill(os.getpid(), number)
    assert handled == [10.0, 12.1]


def test_signals_are_given_back_whatever_happens():
    before = [signal.getsignal(number) for number in BOTH]
    with contextlib.suppress(OSError), handling_signals(list):
        assert signal.getsignal(signal.SIGTERM) not in before
        raise OSError
    assert [signal.getsignal(number) for number in BOTH] == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_stays_one_whatever_a_library_turns_it_into(error):
    def read():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt as interruption:
            raise error("in the library") from interruption

    with pytest.raises(KeyboardInterrupt), interrupted_by_signals():
        read()


def test_without_a_signal_an_error_stays_what_it_is():
    with pytest.raises(RuntimeError, match="of its own"), interrupted_by_signals():
        raise RuntimeError("of its own")


def test_an_echo_is_none_of_the_business_of_whoever_listens_next():
    handled = []
    with handling_signals(lambda: handled.append("outside")):
        with handling_signals(lambda: handled.append("inside")):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert handled == ["inside"]
    with handling_signals(lambda: handled.append("another run")):
        os.kill(os.getpid(), signal.SIGTERM)
    assert handled == ["inside", "another run"]


def test_a_process_that_prepares_pictures_outlives_the_signal_of_its_group_and_is_seeded():
    before = [signal.getsignal(number) for number in BOTH]
    seeded = []
    try:
        init_worker(seeded.append, 3)
        for number in BOTH:
            os.kill(os.getpid(), number)
        # What torch sends to a process that does not end would end it.
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        for number, handler in zip(BOTH, before, strict=True):
            signal.signal(number, handler)
    assert seeded == [3]
