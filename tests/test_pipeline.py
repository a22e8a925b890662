"""Checkpoints in a process that has never heard of this project."""

import json
import os
import subprocess
import sys

import pytest
import torch
from PIL import Image

from fer_hf.models import calibrate_batchnorm, load_model

pytestmark = pytest.mark.slow  # a process that imports everything, once for all tests

EMOTIONS = ["anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"]

# What a user runs, without this package and without a network.
PROGRAM = """
import json, socket, sys

sys.modules["fer_hf"] = None  # any import of it fails

def refuse(*args, **kwargs):
    raise AssertionError("asked for the network")

socket.socket.connect = refuse
socket.getaddrinfo = refuse

from PIL import Image
from transformers import pipeline

picture = Image.open("face.png")
scores = {}
for name, trust in json.loads(sys.argv[1]).items():
    settings = {"trust_remote_code": True} if trust else {}
    classify = pipeline("image-classification", model=name, **settings)
    scores[name] = {row["label"]: row["score"] for row in classify(picture, top_k=8)}
    if trust:
        try:
            pipeline("image-classification", model=name, trust_remote_code=False)
        except ValueError as error:
            assert "trust_remote_code" in str(error), error
        else:
            raise AssertionError("code of the checkpoint ran unasked")
print(json.dumps(scores))
"""


@pytest.fixture(scope="module")
def scores(tmp_path_factory, faces):
    """Scores of one picture by checkpoint: `(ours, theirs)`, theirs from the fresh process."""
    folder = tmp_path_factory.mktemp("fresh")
    picture = faces["train"][0]["image"].resize((90, 70))
    picture.save(folder / "face.png")
    batch = list(faces["train"][:16]["image"])
    ours = {}
    for name, model, settings in (
        ("resnetv2", "resnetv2_18", {"model_args": {"channels": [16, 16, 32, 32]}}),
        ("inception-resnet", "inception-resnet", {"input_size": 75}),
        ("baseline", "baseline", {}),
        ("flatten", "test_resnet", {"pooling": "flatten", "dense_size": 16}),
    ):
        torch.manual_seed(0)
        loaded = load_model(model, EMOTIONS, **{"weights": "none", "input_size": 48, **settings})
        processor = loaded.image_processor
        pixel_values = processor(batch, return_tensors="pt")["pixel_values"]
        calibrate_batchnorm(loaded.model, [pixel_values])
        loaded.model.eval()
        with torch.no_grad():
            # A new head hardly answers; this one does.
            for parameter in list(loaded.model.parameters())[-2:]:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
            one = processor(Image.open(folder / "face.png"), return_tensors="pt")["pixel_values"]
            values = loaded.model(one).logits.softmax(-1)[0].tolist()
        ours[name] = dict(zip(EMOTIONS, values, strict=True))
        loaded.model.save_pretrained(folder / name)
        processor.save_pretrained(folder / name)
    names = {name: name in ("baseline", "flatten") for name in ours}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(names)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "", "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.strip().splitlines()[-1])
    return {name: (ours[name], theirs[name]) for name in ours}


@pytest.mark.parametrize("name", ["resnetv2", "inception-resnet"])
def test_a_fresh_process_opens_it_without_trust_and_scores_alike(scores, name):
    ours, theirs = scores[name]
    assert sorted(theirs) == EMOTIONS
    assert theirs == pytest.approx(ours, abs=1e-4)
    assert max(ours.values()) - min(ours.values()) > 0.01  # it says something


@pytest.mark.parametrize("name", ["baseline", "flatten"])
def test_networks_of_our_own_need_trust_and_then_score_alike(scores, name):
    ours, theirs = scores[name]
    assert sorted(theirs) == EMOTIONS
    assert theirs == pytest.approx(ours, abs=1e-4)
    assert max(ours.values()) - min(ours.values()) > 0.01
