"""Pushing a run and its demo, against a Hub that answers, and on its bad days."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import yaml
from hub_server import STRANGERS_TOKEN, TOKEN, Blob, HubServer
from huggingface_hub import constants

from fer_hf import cli
from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.reports.run_report import RunReport, save_report
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models.bundled import DEFAULT_MODEL
from fer_hf.publishing.hub import commits
from fer_hf.publishing.hub.leaks import check_for_leaks
from fer_hf.publishing.hub.model_repo import PUBLISHED, push_model
from fer_hf.publishing.model_card import render_model_card

NAMES = ["fear", "happy", "sad"]
PROJECT = Path(__file__).parents[3]


@pytest.fixture
def waits(monkeypatch):
    """What would have been waited, in seconds."""
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """The folder of a finished run, with all that a run leaves behind."""
    folder = tmp_path_factory.mktemp("finished")
    scores = np.random.default_rng(0).dirichlet([1, 1, 1], size=60)
    evaluation = evaluate_scores(scores, np.arange(60) % 3, NAMES)
    report = RunReport(
        model_name_or_path="resnetv2_18",
        display_name="my-run",
        pretrained_on="none",
        fine_tuned="all layers",
        num_parameters=2_804_840,
        num_trainable_parameters=2_804_840,
        data="drawn",
        label_names=NAMES,
        split_sizes={"train": 480, "validation": 60, "test": 60},
        input_size=96,
        seed=42,
        settings={"layout": "drawn"},
        versions={"torch": "2.15.0"},
        train_seconds=60.0,
        evaluations={"validation": evaluation, "test": evaluation},
        history=[],
    )
    save_report(report, folder)
    (folder / "README.md").write_text(render_model_card(report), encoding="utf-8")
    (folder / "config.json").write_text('{"model_type": "timm_wrapper"}')
    weights = {"weight": np.arange(1000, dtype=np.float32)}
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    (folder / "model.onnx").write_bytes(b"\x08\x0a graph alone")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"\x08\x0a graph")
    for private in ("training_args.bin", "optimizer.pt", "checkpoint-3/optimizer.pt", "face.png"):
        (folder / private).parent.mkdir(exist_ok=True)
        (folder / private).write_bytes(b"not for everybody")
    return folder


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of it to push, and to spoil."""
    return Path(shutil.copytree(finished_run, tmp_path / "my-run"))


def change_report(run, **changes):
    path = run / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_metadata(files):
    return yaml.safe_load(files["README.md"].decode().split("---\n", 2)[1])


PUSHED = {
    *("config.json", "model.safetensors", "report.json", "README.md"),
    *("confusion_matrix.png", "model.onnx", "onnx/model.onnx"),
}


def test_a_push_is_one_commit_with_all_that_is_for_everybody_and_no_more(hub, run, capsys):
    before = snapshot(run)
    assert cli.main(["push", str(run), "tester/my-fer"]) == 0
    repo = hub.repos["model", "tester/my-fer"]
    assert len(repo.branches["main"]) == 2  # what every repository starts with, and ours
    files = repo.read()
    assert set(files) == PUSHED
    assert files["model.safetensors"] == (run / "model.safetensors").read_bytes()
    assert not repo.private
    shown = capsys.readouterr().out
    assert f"published: {hub.url}/tester/my-fer" in shown
    assert 'pipeline("image-classification", model="tester/my-fer")' in shown
    assert snapshot(run) == before


def test_the_card_names_the_repository_and_what_was_pushed(hub, run):
    own_words = "My own words stay.\n"
    with (run / "README.md").open("a", encoding="utf-8") as card:
        card.write(own_words)
    push_model(run, "tester/my-fer")
    files = hub.repos["model", "tester/my-fer"].read()
    card = files["README.md"].decode()
    assert 'pipeline("image-classification", model="tester/my-fer")' in card
    assert "--model tester/my-fer`" in card
    assert "\n# my-fer\n" in card
    assert "my-run" not in card
    assert own_words in card
    assert "(confusion_matrix.png)" in card
    assert "curves.png" not in card  # this run has none
    assert "seen.safetensors" not in card
    metadata = read_metadata(files)
    assert metadata["license"] == "apache-2.0"
    assert metadata["model-index"][0]["name"] == "my-fer"


def test_a_run_without_a_card_gets_one(hub, run):
    (run / "README.md").unlink()
    push_model(run, "tester/my-fer")
    card = hub.repos["model", "tester/my-fer"].read()["README.md"].decode()
    assert 'model="tester/my-fer"' in card


def test_the_model_in_the_box_is_pushed_by_its_name(hub, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["push", "resnetv2-ferplus", "tester/box"]) == 0
    files = hub.repos["model", "tester/box"].read()
    assert {"config.json", "model.safetensors", "report.json", "README.md"} <= set(files)
    assert read_metadata(files)["license_name"] == "fer2013-research-data"
    assert b'model="tester/box"' in files["README.md"]


def test_pushing_again_makes_no_second_commit_until_something_changes(hub, run, capsys):
    assert push_model(run, "tester/my-fer").is_new
    repo = hub.repos["model", "tester/my-fer"]
    assert cli.main(["push", str(run), "tester/my-fer"]) == 0
    assert "nothing has changed" in capsys.readouterr().out
    assert len(repo.branches["main"]) == 2
    # What an earlier run left behind would be read with the weights of this one.
    (run / "onnx" / "model.onnx").unlink()
    repo.commit(
        "main", {**repo.commits[repo.resolve("main")], "notes.txt": Blob.of("notes.txt", b"")}
    )
    assert push_model(run, "tester/my-fer").is_new
    there = repo.commits[repo.resolve("main")]
    assert set(there) == {*PUSHED, ".gitattributes", "notes.txt"} - {"onnx/model.onnx"}
    # The content of the large file was not sent a second time.
    assert sum(line.startswith("PUT") for line in hub.requests) == 4


def test_a_branch_is_made_and_main_left_alone(hub, run, capsys):
    assert cli.main(["push", str(run), "tester/my-fer", "--revision", "v2"]) == 0
    repo = hub.repos["model", "tester/my-fer"]
    assert set(repo.read("v2")) == PUSHED
    assert repo.read("main") == {}
    assert 'revision="v2"' in capsys.readouterr().out
    assert not push_model(run, "tester/my-fer", revision="v2").is_new


def test_a_pull_request_to_a_strangers_model_is_opened_once_and_updated(hub, run, waits):
    repo = hub.add_repo("stranger/fer", {"README.md": b"mine"})
    hub.fail("POST .*/commit/", "lost")
    pushed = push_model(run, "stranger/fer", create_pr=True)
    assert pushed.is_new
    assert pushed.url == f"{hub.url}/stranger/fer/discussions/1"
    assert waits
    assert repo.read() == {"README.md": b"mine"}
    assert set(repo.read("refs/pr/1")) == PUSHED
    assert [item["author"] for item in repo.pull_requests] == ["tester"]
    assert repo.branches["refs/pr/1"] == [repo.resolve("refs/pr/1")]


def test_a_private_push_makes_a_private_repository_and_refuses_a_public_one(hub, run, capsys):
    assert cli.main(["push", str(run), "tester/secret", "--private"]) == 0
    assert hub.repos["model", "tester/secret"].private
    hub.add_repo("tester/public", {})
    assert cli.main(["push", str(run), "tester/public", "--private"]) == 1
    assert "is public already" in capsys.readouterr().err
    assert hub.repos["model", "tester/public"].read() == {}


# Bad days


@pytest.mark.parametrize(
    "request_line",
    [
        *("POST /api/repos/create", "GET /api/models/tester/my-fer$", "GET .*/tree/"),
        *("POST /api/validate-yaml", "POST .*/preupload/", "POST .*/objects/batch", "PUT /lfs/"),
        "POST .*/commit/",
    ],
)
@pytest.mark.parametrize("kind", ["429", "500", "cut", "lost"])
def test_a_call_that_failed_is_repeated_and_there_is_one_commit(
    kind, request_line, hub, run, waits
):
    hub.fail(request_line, kind)
    assert push_model(run, "tester/my-fer").is_new
    assert len(waits) == 1
    repo = hub.repos["model", "tester/my-fer"]
    assert set(repo.read()) == PUSHED
    assert len(repo.branches["main"]) == 2


def test_as_long_as_the_hub_says_is_waited_but_no_longer_than_a_minute(hub, run, waits):
    hub.fail("POST .*/commit/", "429", seconds=33)
    hub.fail("POST /api/repos/create", "429", seconds=3600)
    push_model(run, "tester/my-fer")
    assert waits == [60, 33]


@pytest.mark.parametrize(
    ("request_line", "kind", "words"),
    [
        ("POST .*/commit/", "429", "Too many requests"),
        ("POST .*/commit/", "500", "does not work"),
        ("PUT /lfs/", "500", "does not work"),
        ("PUT /lfs/", "cut", "does not work"),
        ("POST .*/objects/batch", "quota", "storage limit reached"),
        ("POST .*/commit/", "quota", "storage limit reached"),
    ],
)
def test_a_failed_push_publishes_nothing_and_says_what_to_type_and_that_succeeds(
    request_line, kind, words, hub, run, waits, capsys
):
    before = snapshot(run)
    hub.fail(request_line, kind, times=1000)
    args = ["push", str(run), "tester/my-fer", "--license", "mit"]
    assert cli.main(args) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert words in error
    assert error.endswith(f"Try again: fer-hf {' '.join(args)}")
    assert snapshot(run) == before
    repo = hub.repos["model", "tester/my-fer"]
    assert repo.read() == {}
    hub.faults.clear()
    assert cli.main(args) == 0
    assert set(repo.read()) == PUSHED
    assert len(repo.branches["main"]) == 2


def test_a_full_quota_is_not_asked_again(hub, run, waits):
    hub.fail("POST .*/commit/", "quota", times=1000)
    with pytest.raises(PermissionError, match=r"does not allow it: .*storage limit reached"):
        push_model(run, "tester/my-fer")
    assert waits == []


def test_a_slow_hub_is_waited_for_and_a_silent_one_given_up(hub, run, monkeypatch):
    hub.fail("POST .*/commit/", "slow", seconds=0.5)
    assert push_model(run, "tester/my-fer").is_new
    monkeypatch.setattr(commits, "_SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(commits, "_WAITS", ())
    hub.fail("POST /api/repos/create", "slow", seconds=1)
    with pytest.raises(ConnectionError, match="cannot be reached, or does not work: timed out"):
        push_model(run, "tester/my-fer")


def test_without_a_hub_the_error_is_one_line(run, monkeypatch, capsys, hub):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert cli.main(["push", str(run), "tester/my-fer"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot be reached" in error


@pytest.mark.parametrize("token", [None, "hf_wrong", STRANGERS_TOKEN])
def test_who_may_not_write_is_told(token, hub, run, monkeypatch, capsys):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    else:
        monkeypatch.delenv("HF_TOKEN")
    assert cli.main(["push", str(run), "tester/my-fer"]) == 1
    error = capsys.readouterr().err
    if token == STRANGERS_TOKEN:
        assert "You don't have the rights to create a model under tester" in error
    else:
        assert "Log in with `hf auth login`, or set HF_TOKEN" in error
    assert not hub.repos


# Refusals before anything is sent


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["my-fer"], "`repo_id` is 'my-fer'"),
        (["tester/my/fer"], "`repo_id` is 'tester/my/fer'"),
        (["tester/x", "--revision", "v2", "--create_pr"], "Give one of --revision and --create_pr"),
        (["tester/x", "--create_pr", "--space"], "--space without --revision and --create_pr"),
        (["tester/x", "--space", "--app", "nowhere"], "no folder 'nowhere' with the demo"),
        (["tester/x", "--data_license", "mit"], "drawn faces is 'apache-2.0'"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_sent(args, words, hub, run, capsys):
    assert cli.main(["push", str(run), *args]) == 2
    assert words in capsys.readouterr().err
    assert hub.requests == []


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "report.json"])
def test_a_run_that_is_not_finished_is_refused(missing, hub, run, capsys):
    (run / missing).unlink()
    assert cli.main(["push", str(run), "tester/x"]) == 2
    assert f"lacks {missing}, expected the output folder of a finished run" in (
        capsys.readouterr().err
    )
    assert hub.requests == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", b'{\n "token": "hf_' + b"x" * 34 + b'"}', "a token in line 2"),
        ("README.md", b"ghp_" + b"x" * 36, "a token in line 1"),
        ("report.json", b'{"data": "/home/me/faces"}', "the path '/home/me/faces' in line 1"),
        ("README.md", b"open `~/faces/happy`", "the path '~/faces/happy'"),
        ("config.json", rb'"C:\\Users\\me"', r"the path 'C:\\\\Users\\\\me"),
        ("model.onnx", f"\0File {PROJECT}/x.py".encode(), "the path"),
        ("model.onnx", b"\0" + TOKEN.encode(), "your token"),
    ],
)
def test_tokens_and_paths_are_found(name, content, words, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(PROJECT)
    with pytest.raises(ValueError, match="must not be published") as error:
        check_for_leaks({name: content})
    assert f"`{name}` holds {words}" in str(error.value)
    assert TOKEN not in str(error.value)


def test_the_header_of_weights_is_searched(tmp_path):
    file = tmp_path / "model.safetensors"
    tensors = {"weight": np.zeros(3, np.float32)}
    safetensors.numpy.save_file(tensors, file, metadata={"from": "/home/me/run"})
    with pytest.raises(ValueError, match="the path '/home/me/run' in line 1"):
        check_for_leaks({file.name: file})
    safetensors.numpy.save_file(tensors, file, metadata={"format": "pt"})
    check_for_leaks({file.name: file})


def test_addresses_and_relative_paths_are_no_leaks(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    text = "see https://arxiv.org/abs/1608.01041, runs/my/faces, and/or; 1/2 </b></a> a / b / c"
    check_for_leaks({"README.md": text.encode(), "x.onnx": b"\0/a/b"})
    check_for_leaks({"app.py": b"get('/api/predict')"}, paths=False)


def test_a_leak_is_refused_before_anything_is_sent(hub, run, capsys):
    (run / "config.json").write_text('{"_name_or_path": "/data/me/run"}')
    assert cli.main(["push", str(run), "tester/x"]) == 2
    assert "`config.json` holds the path '/data/me/run' in line 1" in capsys.readouterr().err
    assert hub.requests == []


# Licences


def test_pictures_of_ones_own_need_a_licence_and_it_reaches_the_card(hub, run, capsys):
    change_report(run, data="my_faces", settings={"layout": "folders"})
    assert cli.main(["push", str(run), "tester/x"]) == 2
    assert "Found no licence for the pictures of 'my_faces'" in capsys.readouterr().err
    assert not hub.repos
    args = ["push", str(run), "tester/x", "--data_license", "cc-by-nc-4.0"]
    assert cli.main([*args, "--license", "apache-2.0"]) == 2
    assert "does not demand non-commercial use" in capsys.readouterr().err
    assert not hub.repos
    assert cli.main(args) == 0
    metadata = read_metadata(hub.repos["model", "tester/x"].read())
    assert metadata["license"] == "cc-by-nc-4.0"


def test_the_hub_is_asked_for_the_licences_of_its_data_and_backbones(hub, run, capsys):
    change_report(
        run,
        data="stranger/faces",
        settings={"layout": "hub", "weights": "auto"},
        model_name_or_path="stranger/net",
        pretrained_on="net",
    )
    assert cli.main(["push", str(run), "tester/x"]) == 2
    assert "the pictures of 'stranger/faces'" in capsys.readouterr().err
    card = "---\nlicense: {}\n---\n"
    hub.add_repo("stranger/faces", {"README.md": card.format("cc-by-4.0").encode()}, "dataset")
    assert cli.main(["push", str(run), "tester/x"]) == 2
    assert "The licence of 'stranger/net'" in capsys.readouterr().err
    hub.add_repo("stranger/net", {"README.md": card.format("cc-by-nc-4.0").encode()})
    assert cli.main(["push", str(run), "tester/x"]) == 0
    assert read_metadata(hub.repos["model", "tester/x"].read())["license"] == "cc-by-nc-4.0"


# The Space


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "app"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "app.py").write_text('print("/gradio_api/info")')
    (folder / "requirements.txt").write_text("fer-hf\n")
    (folder / "README.md").write_text("---\ntitle: Faces\nsdk: gradio\n---\n\n# Faces\n")
    (folder / "__pycache__" / "app.pyc").write_bytes(b"")
    (folder / ".env").write_text("HF_TOKEN=…")
    return folder


def test_the_demo_becomes_a_space_that_knows_its_model(hub, run, app, capsys):
    args = ["push", str(run), "tester/my-fer", "--space", "--app", str(app)]
    assert cli.main(args) == 0
    space = hub.repos["space", "tester/my-fer"]
    assert space.variables == {"MODEL_ID": "tester/my-fer"}
    assert set(space.read()) == {"app.py", "README.md", "requirements.txt"}
    metadata = read_metadata(space.read())
    assert metadata == {"title": "Faces", "sdk": "gradio", "models": ["tester/my-fer"]}
    assert f"{hub.url}/spaces/tester/my-fer" in capsys.readouterr().out
    assert set(hub.repos["model", "tester/my-fer"].read()) == PUSHED
    assert cli.main(args) == 0
    assert len(space.branches["main"]) == 2
    # A Space has no token of its own, and gets none from us.
    assert cli.main(["push", str(run), "tester/secret", *args[3:], "--private"]) == 0
    assert "secret HF_TOKEN" in capsys.readouterr().out


def test_a_space_installs_torch_for_a_model_without_a_graph_only(hub, run):
    def push():
        assert cli.main(["push", str(run), "tester/my-fer", "--space"]) == 0
        return hub.repos["space", "tester/my-fer"].read()["requirements.txt"]

    assert push() == b"fer-hf[demo]>=0.1,<0.2\n"
    (run / "model.onnx").unlink()
    assert push() == b"fer-hf[all]>=0.1,<0.2\n"


@pytest.mark.parametrize("missing", ["app.py", "README.md", "requirements.txt"])
def test_half_a_demo_is_refused_before_the_model_is_pushed(missing, hub, run, app, capsys):
    (app / missing).unlink()
    assert cli.main(["push", str(run), "tester/x", "--space", "--app", str(app)]) == 2
    assert f"lacks {missing}" in capsys.readouterr().err
    assert hub.requests == []


def test_a_demo_of_another_kind_is_refused(hub, run, app, capsys):
    (app / "README.md").write_text("---\nsdk: docker\n---\n")
    assert cli.main(["push", str(run), "tester/x", "--space", "--app", str(app)]) == 2
    assert "does not say `sdk: gradio`" in capsys.readouterr().err
    assert hub.requests == []


# The whole way, in processes that know no other Hub


def start(hub, home, *command, token=TOKEN, cwd):
    environment = {**os.environ, **hub.environment(home, token)}
    if token is None:
        environment.pop("HF_TOKEN", None)
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A Hub with a model that `train.py --push_to_hub` pushed, and the run's folder."""
    folder = tmp_path_factory.mktemp("whole")
    with HubServer() as hub:
        done = start(
            hub,
            folder / "home",
            PROJECT / "train.py",
            *("--num_drawn", "80", "--drawn_size", "32", "--input_size", "32", "--use_cpu", "true"),
            *("--dataloader_num_workers", "0", "--num_train_epochs", "1"),
            *("--model_name_or_path", "test_resnet", "--weights", "none", "--output_dir", "run"),
            *("--push_to_hub", "true", "--hub_model_id", "tester/my-fer"),
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        assert f"published: {hub.url}/tester/my-fer" in done.stdout
        yield hub, folder


def test_what_was_pushed_is_opened_on_its_graph_at_any_revision(hub, tmp_path):
    run = Path(shutil.copytree(DEFAULT_MODEL, tmp_path / "run"))
    push_model(run, "tester/my-fer", license_name="other", revision="v2")
    program = """
import sys
sys.modules["torch"] = None
from PIL import Image
from fer_hf import ExpressionClassifier
found = ExpressionClassifier("tester/my-fer", revision="v2")
print(found.backend, *found.network.files, found.compute_fingerprint())
"""
    done = start(hub, tmp_path / "home", "-c", program, token=None, cwd=tmp_path)
    fingerprint = ExpressionClassifier().compute_fingerprint()
    assert done.stdout.split() == ["onnx", "model.onnx", "model.safetensors", fingerprint]
    # Without its graph, torch opens it.
    (run / "model.onnx").unlink()
    push_model(run, "tester/plain", license_name="other")
    program = """
from fer_hf import ExpressionClassifier
print(ExpressionClassifier("tester/plain").backend)
"""
    done = start(hub, tmp_path / "home", "-c", program, token=None, cwd=tmp_path)
    assert done.stdout.split() == ["torch"], done.stderr


@pytest.mark.slow
def test_what_training_pushed_opens_in_a_process_that_never_heard_of_us(trained):
    hub, folder = trained
    files = hub.repos["model", "tester/my-fer"].read()
    assert set(files) <= set(PUBLISHED)
    assert {"config.json", "model.safetensors", "README.md", "seen.safetensors"} <= set(files)
    text = b"".join(files[name] for name in ("README.md", "report.json", "config.json"))
    assert str(folder).encode() not in text
    program = """
import sys
sys.modules["fer_hf"] = None
from PIL import Image
from transformers import pipeline
fer = pipeline("image-classification", model="tester/my-fer", trust_remote_code=False)
print(*[row["label"] for row in fer(Image.new("RGB", (40, 40)), top_k=8)])
"""
    done = start(hub, folder / "other", "-c", program, token=None, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 8


@pytest.mark.slow
def test_timm_and_transformers_open_a_pushed_model_with_equal_logits(trained):
    hub, folder = trained
    program = """
import timm, torch
from transformers import AutoModelForImageClassification
pictures = torch.rand(2, 3, 32, 32)
ours = AutoModelForImageClassification.from_pretrained("tester/my-fer").eval()
there = timm.create_model("hf-hub:tester/my-fer", pretrained=True).eval()
here = timm.create_model("local-dir:run", pretrained=True).eval()
with torch.inference_mode():
    logits = ours(pictures).logits
    assert torch.equal(logits, there(pictures)) and torch.equal(logits, here(pictures))
"""
    done = start(hub, folder / "other", "-c", program, token=None, cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_pushed_demo_runs_with_its_model_in_a_process_of_its_own(trained, app):
    hub, folder = trained
    (app / "app.py").write_text(
        "import os; from PIL import Image; from transformers import pipeline\n"
        'fer = pipeline("image-classification", model=os.environ["MODEL_ID"])\n'
        'print(*[row["label"] for row in fer(Image.new("L", (40, 40)), top_k=8)])\n'
    )
    args = ("-m", "fer_hf", "push", "run", "tester/my-fer", "--space", "--app", app)
    done = start(hub, folder / "home", *args, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"nothing has changed: {hub.url}/tester/my-fer" in done.stdout
    assert f"published: {hub.url}/spaces/tester/my-fer" in done.stdout
    program = """
import huggingface_hub, os, runpy
folder = huggingface_hub.snapshot_download("tester/my-fer", repo_type="space")
os.environ["MODEL_ID"] = {!r}
runpy.run_path(os.path.join(folder, "app.py"))
"""
    (model_id,) = hub.repos["space", "tester/my-fer"].variables.values()
    done = start(hub, folder / "other", "-c", program.format(model_id), token=None, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 8


@pytest.mark.slow
def test_a_published_backbone_of_timms_shape_is_trained_on_and_named(trained):
    hub, folder = trained
    program = """
import json, timm
from safetensors.torch import save_file
network = timm.create_model("test_resnet", num_classes=1000)
save_file(network.state_dict(), "model.safetensors")
config = {"architecture": "test_resnet", "num_classes": 1000, "num_features": 384}
cfg = {k: v for k, v in network.pretrained_cfg.items() if k in ("input_size", "mean", "std")}
json.dump({**config, "pretrained_cfg": cfg}, open("config.json", "w"))
"""
    shape = folder / "timm"
    shape.mkdir()
    done = start(hub, folder / "other", "-c", program, cwd=shape)
    assert done.returncode == 0, done.stderr
    hub.add_repo("timm/test_resnet.r160_in1k", {p.name: p.read_bytes() for p in shape.iterdir()})
    done = start(
        hub,
        folder / "home",
        *("-m", "fer_hf", "train", "--num_drawn", "80", "--drawn_size", "32", "--input_size", "32"),
        *("--dataloader_num_workers", "0", "--num_train_epochs", "1", "--use_cpu", "true"),
        *("--model_name_or_path", "test_resnet", "--weights", "imagenet", "--output_dir", "tuned"),
        *("--push_to_hub", "true", "--hub_model_id", "tester/tuned", "--hub_private_repo", "true"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    repo = hub.repos["model", "tester/tuned"]
    assert repo.private
    assert read_metadata(repo.read())["base_model"] == "timm/test_resnet.r160_in1k"
    assert read_metadata(repo.read())["license"] == "apache-2.0"


@pytest.mark.slow
def test_a_push_that_fails_at_the_end_of_training_leaves_the_run_and_the_command(trained):
    hub, folder = trained
    hub.fail("POST .*tester/late/commit/", "quota", times=1000)
    args = ("--resume", "true", "--output_dir", "run", "--push_to_hub", "true")
    done = start(
        hub, folder / "home", PROJECT / "train.py", *args, "--hub_model_id", "tester/late",
        "--model_name_or_path", "test_resnet", cwd=folder,
    )  # fmt: skip
    hub.faults.clear()
    assert done.returncode == 1
    assert "storage limit reached" in done.stderr
    assert hub.repos["model", "tester/late"].read() == {}
    command = done.stderr.rsplit("Try again: fer-hf ", 1)[1].split()
    assert command == ["push", "run", "tester/late"]
    done = start(hub, folder / "home", "-m", "fer_hf", *command, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "config.json" in hub.repos["model", "tester/late"].read()


# Training arguments


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--push_to_hub", "true"], "Give --hub_model_id you/your-fer"),
        (["--push_to_hub", "true", "--hub_model_id", "fer"], "found `hub_model_id` 'fer'"),
        (["--hub_token", "hf_x"], "Log in with `hf auth login`"),
    ],
)
def test_a_push_that_cannot_be_is_refused_before_training(args, words, capsys, hub):
    assert cli.main(["train", "--model_name_or_path", "baseline", *args]) == 2
    assert words in capsys.readouterr().err
    assert hub.requests == []


def test_training_does_not_start_where_its_end_could_not_be_published(
    hub, tmp_path, capsys, monkeypatch
):
    from PIL import Image

    for label in ("calm", "tense"):
        (tmp_path / "faces" / label).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "faces" / label / "1.png")
    monkeypatch.chdir(tmp_path)
    args = ["train", "--model_name_or_path", "baseline", "--push_to_hub", "true"]
    args += ["--hub_model_id", "tester/x", "--output_dir", "run"]
    assert cli.main([*args, "--data", "faces"]) == 2
    assert "the pictures of 'faces'" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert cli.main([*args, "--data", "faces", "--data_license", "mit"]) == 1
    assert "The Hub does not know the token" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
