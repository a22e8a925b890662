"""The examples of CONTRIBUTING.md do what it says, when they are added to a copy of the package."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
EXAMPLE = re.compile(
    r"^`(?P<file>fer_hf/[\w/]+\.py)`:.*?^```python\n(?P<code>.*?)^```\n"
    r".*?^```diff\n--- (?P<where>[\w/.]+)\n(?P<diff>.*?)^```\n",
    flags=re.MULTILINE | re.DOTALL,
)
# What a user of the six additions sees; each line fails where one is missing.
TRY = """
import os
import numpy as np
from PIL import Image
from fer_hf import cli, evaluate_scores, load_splits
from fer_hf.demo.demo_models import DemoModels
from fer_hf.demo.page import build_demo
from fer_hf.evaluation.reports.run_report import save_report
from fer_hf.faces import load_detector
from fer_hf.training.recipes import build_parser, parse_runs

os.mkdir("faces")
for number in range(20):
    name = f"faces/p{number:02}_e{1 + number % 2}.jpg"
    Image.new("RGB", (32, 32), (number * 9, 0, 0)).save(name)
assert load_splits("faces")["train"].features["label"].names == ["happy", "sad"]
scores = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
assert evaluate_scores(scores, [1, 2], ["a", "b", "c"]).figures["top2_accuracy"].value == 0.5
assert "--loss {cross_entropy,focal}" in build_parser().format_help()
assert load_detector("centre").name == "centre"
demo = build_demo(DemoModels(detector="centre"))
assert "count_faces" in {function.api_name for function in demo.fns.values()}
run = ["--data", "faces", "--model_name_or_path", "baseline", "--input_size", "32"]
run += ["--loss", "focal", "--metric_for_best_model", "top2_accuracy"]
run += ["--num_train_epochs", "1", "--output_dir", "run"]
assert cli.main(["train", *run]) == 0
assert cli.main(["evaluate", "run", "--data", "faces"]) == 0
call = ["predict", "faces/p00_e1.jpg", "--model", "run"]
assert cli.main([*call, "--faces", "--detector", "centre"]) == 0
assert cli.main(["export", "run"]) == 0
assert open("run/labels.txt").read().split() == ["happy", "sad"]
"""


def read_examples():
    return list(EXAMPLE.finditer((PROJECT / "CONTRIBUTING.md").read_text()))


def apply(diff, path):
    """Add the lines with a plus, each below the line that stands before it in the diff."""
    lines, at = path.read_text().splitlines(), -1
    for line in diff.splitlines():
        if line.startswith("+"):
            at += 1
            lines.insert(at, line[1:])
        else:
            at = lines.index(line[1:], at + 1)
    path.write_text("\n".join(lines) + "\n")


def test_each_addition_is_a_file_and_a_line_with_its_import():
    examples = read_examples()
    assert len(examples) == 6
    for example in examples:
        assert not (PROJECT / example["file"]).exists()
        added = [line for line in example["diff"].splitlines() if line.startswith("+")]
        assert len([line for line in added if not line.startswith("+from ")]) == 1


@pytest.mark.slow
def test_the_six_examples_work_together(tmp_path):
    shutil.copytree(PROJECT / "fer_hf", tmp_path / "fer_hf")
    shutil.copy(PROJECT / "model_card.md", tmp_path)
    for example in read_examples():
        (tmp_path / example["file"]).write_text(example["code"])
        apply(example["diff"], tmp_path / example["where"])
    work = tmp_path / "work"
    work.mkdir()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{TRY}"
    done = subprocess.run([sys.executable, "-c", code], cwd=work, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "top-2 accuracy" in done.stdout
    assert "labels: 2 names" in done.stdout
