"""Hostile checkpoints: broken, of the wrong shape, or made to run code."""

import functools
import json
import pickle
import shutil
import struct
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from hostile_kit import Hostile, encode, write


@functools.cache
def _good() -> Path:
    """Return the folder of a tiny baseline CNN that has learnt nothing."""
    from fer_hf.models.loading import load_model

    folder = Path(tempfile.mkdtemp())
    load_model("baseline", ["happy", "sad"], input_size=32).save(folder)
    return folder


def _model(*refused: str, shows: tuple[str, ...] = (), **changed: Any) -> Hostile:
    """Return a checkpoint of which files are changed: by a function, by bytes, or None to remove.

    The files are called `config`, `processor` and `weights`; other keys are names of new files.
    """
    known = {
        "config": "config.json",
        "processor": "preprocessor_config.json",
        "weights": "model.safetensors",
    }

    def write_all(root: Path) -> Path:
        write(root, {"face.png": encode()})
        folder = Path(shutil.copytree(_good(), root / "model"))
        for key, change in changed.items():
            file = folder / known.get(key, key)
            if change is None:
                file.unlink()
            else:
                content = change(file.read_bytes()) if callable(change) else change
                file.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    call = ("predict", "{}/../face.png", "--model", "{}")
    return Hostile(write_all, refused, call=call, shows=shows)


def _json(**changed: Any) -> Callable[[bytes], str]:
    """Return what changes an object of JSON; None removes a key."""

    def change(content: bytes) -> str:
        values = json.loads(content) | changed
        return json.dumps({key: value for key, value in values.items() if value is not None})

    return change


def _tensors(change: Callable[[dict[str, np.ndarray]], None]) -> Callable[[bytes], bytes]:
    def rewrite(content: bytes) -> bytes:
        tensors = {name: value.copy() for name, value in safetensors.numpy.load(content).items()}
        change(tensors)
        return safetensors.numpy.save(tensors, {"format": "pt"})

    return rewrite


def _fill(value: float) -> Callable[[bytes], bytes]:
    def change(tensors: dict[str, np.ndarray]) -> None:
        for array in tensors.values():
            if array.dtype.kind == "f":
                array[...] = value

    return _tensors(change)


def _head(tensors: Mapping[str, np.ndarray]) -> str:
    return sorted(name for name in tensors if tensors[name].shape[0] == 2)[-1]


def _drop_head(tensors: dict[str, np.ndarray]) -> None:
    del tensors[_head(tensors)]


def _widen_head(tensors: dict[str, np.ndarray]) -> None:
    name = _head(tensors)
    tensors[name] = np.concatenate([tensors[name]] * 2)


def _announce_tensors(content: bytes) -> bytes:
    return struct.pack("<Q", 2**62) + content[8:]


class _Attack:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("/tmp/fer_hf_was_attacked"),)  # type: ignore[return-value]


_CODE = "raise SystemExit('remote code ran')\n"

MODELS: dict[str, Hostile] = {
    "a model as it should be": _model(shows=("happy", "sad")),
    "a model without its config": _model("model", "config.json", config=None),
    "a model whose config is cut off": _model("model", config=lambda c: c[: len(c) // 2]),
    "a model whose config is empty": _model("model", config=b""),
    "a model whose config is a list": _model("model", config="[]"),
    "a model whose config is binary": _model("model", config=bytes(range(256))),
    "a model of an unknown type": _model("model", config=_json(model_type="gpt-99")),
    "a model without a type": _model("model", config=_json(model_type=None)),
    "a model of text": _model("model", config='{"model_type": "bert", "hidden_size": 32}'),
    "a model of no labels": _model("model", config=_json(id2label={}, label2id={})),
    "a model with three labels for two outputs": _model(
        "model", config=_json(id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2})),
    "a model whose labels are numbers": _model("model", config=_json(id2label=7)),
    "a model whose input size is negative": _model("model", config=_json(input_size=-1)),
    "a model whose input size is a text": _model("model", config=_json(input_size="big")),
    "a model without its weights": _model("model", weights=None),
    "a model whose weights are cut off": _model("model", weights=lambda c: c[: len(c) // 2]),
    "a model whose weights are empty": _model("model", weights=b""),
    "a model whose weights are a Git LFS pointer": _model(
        "model", weights=b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
    "a model whose weights announce 4 exabytes": _model("model", weights=_announce_tensors),
    "a model whose weights are all NaN": _model("model", weights=_fill(float("nan"))),
    "a model whose weights are all infinite": _model("model", weights=_fill(float("inf"))),
    "a model whose weights are all zero": _model(shows=("happy", "sad"), weights=_fill(0)),
    "a model without the weights of its head": _model("model", weights=_tensors(_drop_head)),
    "a model whose head has another shape": _model("model", weights=_tensors(_widen_head)),
    "a model whose weights are a pickle alone": _model(
        "model", weights=None, **{"pytorch_model.bin": pickle.dumps(_Attack())}),
    "a model whose processor is missing": _model("model", processor=None),
    "a model whose processor is cut off": _model("model", processor=b"{"),
    "a model whose processor is a list": _model("model", processor="[1]"),
    "a model whose processor resizes to nothing": _model(
        "model", processor=_json(size={"height": 0, "width": 0})),
    "a model whose processor resizes to a billion pixels": _model(
        "model", processor=_json(size={"height": 100_000, "width": 100_000})),
    "a model whose processor divides by nothing": _model(
        "model", processor=_json(image_std=[0, 0, 0])),
    "a model that brings its own code": _model(
        "model", **{"config": _json(model_type="mine", auto_map={"AutoConfig": "mine.Config",
                    "AutoModelForImageClassification": "mine.Model"}), "mine.py": _CODE}),
    "a model that is a file": Hostile(
        lambda root: write(root, {"face.png": encode(), "model": b"x"}) or root / "model", ("model",),
        call=("predict", "{}/../face.png", "--model", "{}")),
    "a model that is a folder of pictures": Hostile(
        lambda root: write(root, {"face.png": encode(), "model/1.png": encode()}) or root / "model",
        ("model",), call=("predict", "{}/../face.png", "--model", "{}")),
    "a model that is not there": Hostile(
        lambda root: write(root, {"face.png": encode()}) or root / "gone" / "model", ("gone/model",),
        call=("predict", "{}/../../face.png", "--model", "{}")),
    "pictures of a model that are not there": Hostile(
        lambda root: root / "gone.png", ("gone.png",), call=("predict", "{}")),
    "a picture of a model that is a text": Hostile(
        lambda root: write(root, {"x.png": "hello"}) or root / "x.png", ("pictures",),
        call=("predict", "{}")),
}  # fmt: skip
