"""The face finder trained from end to end, small; written, opened, interrupted and refused."""

import numpy as np
import pytest
from PIL import Image

from fer_hf import cli
from fer_hf.faces import load_detector
from fer_hf.faces.finder import FaceFinder

torch = pytest.importorskip("torch")

from fer_hf.data.drawn.faces import draw_numbered_face, locate_numbered_face  # noqa: E402
from fer_hf.training.finder.finder_export import (  # noqa: E402
    fit_normalisations,
    read_finder,
    write_finder,
)
from fer_hf.training.finder.finder_run import load_learner  # noqa: E402
from fer_hf.training.finder.network import FinderNetwork  # noqa: E402


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twelve drawn portraits with their table, and surroundings."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "rooms").mkdir()
    (folder / "faces").mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        levels = rng.integers(0, 256, (40, 60), np.uint8)
        Image.fromarray(levels).resize((120, 90)).save(folder / "rooms" / f"{number}.png")
    rows = []
    for number in range(12):
        draw_numbered_face(number, size=96).save(folder / "faces" / f"{number}.png")
        box, _ = locate_numbered_face(number, size=96)
        rows.append(",".join([f"{number}.png", *map(str, box.tolist())]))
    table = "\n".join(["file,left,top,right,bottom", *rows])
    (folder / "faces" / "boxes.csv").write_text(table)
    return folder


def train(pictures, output, *args):
    boxes = ["--boxes", str(pictures / "faces" / "boxes.csv")]
    given = ["--rooms", str(pictures / "rooms"), "--output_dir", str(output), "--use_cpu", "true"]
    sizes = ["--num_drawn_faces", "12", "--side", "64", "--per_device_train_batch_size", "2"]
    return cli.main(["train_finder", *boxes, *given, *sizes, *map(str, args)])


@pytest.mark.slow
def test_training_writes_a_finder_that_opens_and_goes_on_where_it_stopped(
    pictures, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("fer_hf.training.finder.finder_run.NUM_VALIDATION_SCENES", 4)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    steps = ("--save_steps", 2, "--eval_steps", 2, "--logging_steps", 1)
    assert train(pictures, whole, "--max_steps", 4, *steps) == 0
    out = capsys.readouterr().out
    assert f"fer-hf predict party.jpg --faces --detector {whole / 'finder.onnx'}" in out
    assert load_detector(str(whole / "finder.onnx")).name == "finder"
    assert not list(whole.rglob("training_args.bin"))
    assert (whole / "scenes.png").is_file()
    detector = load_detector(str(whole / "finder.onnx"))
    assert 0.5 <= detector._min_score <= 0.9  # as the file says
    # Stopped after two steps of four, as by a power cut.
    import shutil

    shutil.copytree(whole / "checkpoint-2", parts / "checkpoint-2")
    assert train(pictures, parts, "--max_steps", 4, *steps, "--resume", "true") == 0
    assert (parts / "finder.onnx").read_bytes() == (whole / "finder.onnx").read_bytes()


def test_a_written_finder_says_what_its_network_says(tmp_path):
    torch.manual_seed(0)
    network = FinderNetwork((16, 16, 16, 16), 16).eval()
    for weights in network.parameters():
        weights.data = weights.data.half().float()
    write_finder(network, tmp_path / "small.onnx")
    session = FaceFinder(str(tmp_path / "small.onnx"))._session
    frame = np.random.default_rng(0).random((1, 1, 96, 160), np.float32)
    scores, values = session.run(["scores", "values"], {"pixel_values": frame})
    with torch.no_grad():
        expected = network(torch.from_numpy(frame))
    assert np.abs(scores - expected[..., 0].sigmoid().numpy()).max() < 1e-3
    assert np.abs(values - expected[..., 1:].numpy()).max() < 1e-2


def test_a_written_finder_can_be_trained_further(tmp_path):
    torch.manual_seed(0)
    network = FinderNetwork().train()
    frames = torch.rand(8, 1, 64, 64)
    for _ in range(30):
        network(frames)  # gives its normalisations statistics
    network.eval()
    write_finder(network, tmp_path / "first.onnx")
    again = read_finder(tmp_path / "first.onnx")
    with torch.no_grad():
        expected = network(frames)
        assert (again.eval()(frames) - expected).abs().max() < 5e-3
        fit_normalisations(again, frames)
        assert (again(frames) - expected).abs().max() < 5e-3
        # While it learns, too: batches have about these statistics.
        assert (again.train()(frames) - expected).abs().max() < 2e-2


def test_what_is_no_finder_cannot_be_trained_further(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file '.*gone.onnx', expected a face finder"):
        read_finder(tmp_path / "gone.onnx")
    (tmp_path / "text.onnx").write_text("words")
    with pytest.raises(ValueError, match=r"text.onnx' is no face finder"):
        read_finder(tmp_path / "text.onnx")
    (tmp_path / "text.safetensors").write_text("words")
    with pytest.raises(ValueError, match=r"does not hold a finder's weights"):
        load_learner(str(tmp_path / "text.safetensors"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--rooms", "."], r"no portraits, expected --boxes TABLE or --portraits FOLDER"),
        (["--boxes", "b.csv"], r"no surroundings, expected --rooms FOLDER"),
        (["--boxes", "b.csv", "--rooms", ".", "--bokses", "x"], r"Unknown flag '--bokses'"),
    ],
)
def test_what_is_missing_is_said_in_a_line(args, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train_finder", *args, "--use_cpu", "true"]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert __import__("re").search(message, err)


def test_help_teaches(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["train_finder", "--help"])
    out = capsys.readouterr().out
    assert "usage: fer-hf train_finder --boxes TABLE --rooms FOLDER" in out
    assert "Examples:" in out
    assert "--start_from bundled" in out
    assert "Folder of pictures without a face" in " ".join(out.split())
