"""What happens beside training: the stop by a signal, and the lines of the progress bar."""

import os
import signal
from types import SimpleNamespace

import pytest
from transformers.trainer_callback import TrainerControl, TrainerState

from fer_hf.training.callbacks import EpochProgress, StopOnSignal

ONE_PROCESS = SimpleNamespace(world_size=1, device="cpu")


@pytest.fixture
def stop():
    """A callback that listens to signals, and stops listening after the test."""
    callback = StopOnSignal()
    callback.on_train_begin(ONE_PROCESS, TrainerState(), TrainerControl())
    yield callback
    callback.on_train_end(ONE_PROCESS, TrainerState(), TrainerControl())


def end_step(callback, step, *, steps_per_epoch=5, epochs=3):
    state = TrainerState(
        global_step=step, max_steps=steps_per_epoch * epochs, epoch=step / steps_per_epoch
    )
    control = TrainerControl()
    callback.on_step_end(ONE_PROCESS, state, control)
    return state, control


def test_without_a_signal_nothing_happens(stop):
    _, control = end_step(stop, 1)
    assert not stop.stopped
    assert not control.should_training_stop
    assert not control.should_save


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops_at_the_end_of_the_step(stop, number):
    os.kill(os.getpid(), number)
    state, control = end_step(stop, 2)
    assert stop.stopped
    assert control.should_save
    assert control.should_training_stop
    control = TrainerControl(should_evaluate=True, should_save=True, should_log=True)
    stop.on_epoch_end(ONE_PROCESS, state, control)
    assert not control.should_evaluate  # half an epoch is not chosen among


def test_a_signal_in_the_last_step_of_an_epoch_leaves_its_validation_in_place(stop):
    os.kill(os.getpid(), signal.SIGINT)
    state, control = end_step(stop, 5)
    assert not control.should_training_stop
    control = TrainerControl(should_evaluate=True)
    stop.on_epoch_end(ONE_PROCESS, state, control)
    assert control.should_evaluate
    assert control.should_save
    assert control.should_training_stop


def test_a_signal_in_the_very_last_step_does_not_interrupt_the_run(stop):
    os.kill(os.getpid(), signal.SIGINT)
    end_step(stop, 15)
    assert not stop.stopped


def test_the_second_signal_kills(stop):
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_signals_are_given_back_after_training():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    callback = StopOnSignal()
    callback.on_train_begin(ONE_PROCESS, TrainerState(), TrainerControl())
    assert signal.getsignal(signal.SIGINT) is not before[0]
    callback.on_train_end(ONE_PROCESS, TrainerState(), TrainerControl())
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_each_epoch_is_one_line_for_training_and_one_for_validation():
    lines = []
    progress = EpochProgress()
    progress.training_bar = SimpleNamespace(write=lines.append)
    state = TrainerState(epoch=2.0, is_world_process_zero=True)
    for logs in (
        {"loss": 1.23456, "accuracy": 0.5, "learning_rate": 1e-3},
        {"eval_loss": 0.9, "eval_accuracy": 0.75, "eval_f1_macro": 0.7, "eval_runtime": 3},
        {"train_runtime": 5.0},
        None,
    ):
        progress.on_log(None, state, TrainerControl(), logs=logs)
    assert lines == [
        "epoch   2.0  train       loss 1.235  accuracy 0.500",
        "epoch   2.0  validation  loss 0.900  accuracy 0.750  macro-F1 0.700",
    ]


def test_evaluations_have_a_bar_of_their_own_only_after_training():
    progress = EpochProgress()
    progress.training_bar = SimpleNamespace(write=print)
    state = TrainerState(is_world_process_zero=True)
    progress.on_prediction_step(None, state, TrainerControl(), eval_dataloader=["batch", "batch"])
    assert progress.prediction_bar is None
    progress.training_bar = None
    progress.on_prediction_step(None, state, TrainerControl(), eval_dataloader=["batch", "batch"])
    assert progress.prediction_bar.total == 2
    progress.on_predict(None, state, TrainerControl())
    assert progress.prediction_bar is None
