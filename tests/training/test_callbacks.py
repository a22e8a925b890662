"""What happens beside training: the stop that loses nothing, and the lines of the progress bar."""

from types import SimpleNamespace

import pytest
import torch
from transformers.trainer_callback import TrainerControl, TrainerState

from fer_hf.training import callbacks
from fer_hf.training.callbacks import EpochProgress, StopOnSignal

ONE_PROCESS = SimpleNamespace(world_size=1, device="cpu")


@pytest.fixture
def stop():
    """A callback that can be asked to stop."""
    return StopOnSignal()


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


def test_once_asked_it_saves_and_stops_at_the_end_of_the_step(stop):
    stop.ask()
    state, control = end_step(stop, 2)
    assert stop.stopped
    assert control.should_save
    assert control.should_training_stop
    control = TrainerControl(should_evaluate=True, should_save=True, should_log=True)
    stop.on_epoch_end(ONE_PROCESS, state, control)
    assert not control.should_evaluate  # half an epoch is not chosen among


def test_a_signal_in_the_last_step_of_an_epoch_leaves_its_validation_in_place(stop):
    stop.ask()
    state, control = end_step(stop, 5)
    assert not control.should_training_stop
    control = TrainerControl(should_evaluate=True)
    stop.on_epoch_end(ONE_PROCESS, state, control)
    assert control.should_evaluate
    assert control.should_save
    assert control.should_training_stop


@pytest.mark.parametrize(("save_strategy", "stops"), [("epoch", True), ("no", False)])
def test_after_the_last_step_it_stops_only_if_there_is_a_checkpoint(stop, save_strategy, stops):
    arguments = SimpleNamespace(**vars(ONE_PROCESS), save_strategy=save_strategy)
    stop.on_train_end(arguments)
    assert not stop.stopped
    stop.ask()
    end_step(stop, 15)
    assert not stop.stopped  # its validation and its checkpoint are still to come
    stop.on_train_end(arguments)
    assert stop.stopped == stops


def test_asked_again_it_stops_at_once(stop):
    stop.ask()
    with pytest.raises(KeyboardInterrupt):
        stop.ask()


def test_processes_whose_launcher_has_died_stop_too(stop, monkeypatch):
    two = SimpleNamespace(world_size=2, device="cpu")
    state = TrainerState(global_step=2, max_steps=15, epoch=0.4)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda flag, op: None)
    monkeypatch.setattr(callbacks.os, "getppid", lambda: 1)
    for elastic in (False, True):
        monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: elastic)  # noqa: B023
        stop.on_step_end(two, state, TrainerControl())
        assert stop.stopped == elastic


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
