"""Models that are compared take turns, and go by names that tell them apart."""

import torch

from fer_hf.evaluation import model_comparison


def test_models_take_turns_on_one_thread_which_are_given_back(monkeypatch):
    calls, asked = [], []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    classifiers = {
        name: lambda pictures, name=name: calls.append((name, pictures, list(asked)))
        for name in "ab"
    }
    times = model_comparison._measure_milliseconds(classifiers, [1, 2])
    assert calls == [("a", [1], [1]), ("b", [1], [1]), ("a", [2], [1]), ("b", [2], [1])]
    assert asked == [1, 7]
    assert times.keys() == {"a", "b"}


def test_models_are_named_by_as_much_of_their_path_as_it_takes():
    name = model_comparison._name_models
    assert name(["/x/a", "you/b"]) == ["a", "b"]
    assert name(["/x/a/last", "/x/b/last"]) == ["a/last", "b/last"]
    assert name(["/x/last", "last"]) == ["x/last", "last"]
