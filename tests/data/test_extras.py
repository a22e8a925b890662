"""What is missing is named with its extra, wherever it is missed."""

import json
import subprocess
import sys

import pytest

from fer_hf.data.drawn.faces import draw_face
from fer_hf.data.extras import naming_missing_extra

BASE = """
import sys
absent = "av gradio torch transformers datasets accelerate evaluate scipy sklearn pyarrow yaml"
sys.modules.update(dict.fromkeys(absent.split()))
import fer_hf
from fer_hf import cli
"""


def call_in_base(*args):
    """Call `fer-hf` as where only the base is installed; return its status and its two outputs."""
    code = BASE + "sys.exit(cli.main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_what_the_package_offers_says_what_it_lacks():
    code = f"""{BASE}
for name in ("fine_tune", "load_splits", "load_model", "analyse_video"):
    try:
        getattr(fer_hf, name)("x")
    except ModuleNotFoundError as error:
        print(name, error)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = dict(line.split(" ", 1) for line in out.stdout.splitlines())
    assert said.keys() == {"fine_tune", "load_splits", "load_model", "analyse_video"}
    extras = {"analyse_video": "video"}
    for name, line in said.items():
        assert line.startswith("This needs ")
        assert line.endswith(f"Say: pip install 'fer-hf[{extras.get(name, 'train')}]'")


@pytest.mark.parametrize("command", ["audit", "compare", "data", "evaluate", "export"])
def test_a_command_without_its_extra_is_one_line(command):
    status, out, err = call_in_base(command, "x")
    assert (status, out) == (1, "")
    assert err.startswith("fer-hf: error: This needs ")
    assert err.endswith("Say: pip install 'fer-hf[train]'\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["fit", "sweep", "train"])
def test_help_says_what_the_extra_would_be_good_for(command):
    status, out, err = call_in_base(command, "--help")
    assert status == 1
    assert out.strip()
    assert err.endswith("Say: pip install 'fer-hf[train]'\n")


def test_faces_are_found_in_the_base(tmp_path):
    draw_face("happy", size=160, seed=5).save(tmp_path / "face.png")
    status, out, err = call_in_base("predict", str(tmp_path / "face.png"), "--faces", "--json")
    assert (status, err) == (0, "")
    assert all(json.loads(line)["face"] for line in out.splitlines())


def test_a_video_without_its_extra_is_one_line(tmp_path):
    (video := tmp_path / "party.mp4").write_bytes(b"any")
    status, _, err = call_in_base("video", str(video))
    assert status == 1
    assert err.endswith("needs av, which is not installed. Say: pip install 'fer-hf[video]'\n")


def test_a_demo_without_its_extra_is_one_line():
    assert call_in_base("demo") == (
        1,
        "",
        "fer-hf: error: This needs gradio, which is not installed. "
        "Say: pip install 'fer-hf[demo]'\n",
    )


def test_a_source_that_is_no_picture_says_what_reads_tables(tmp_path):
    table = tmp_path / "faces.csv"
    table.write_text("path,label\na.png,sad\n")
    status, _, err = call_in_base("predict", str(table))
    assert status == 1
    assert f"There is no picture at {str(table)!r}" in err
    assert err.endswith("Say: pip install 'fer-hf[train]'\n")


def test_parquet_is_refused_before_anything_is_scored(tmp_path):
    status, _, err = call_in_base("predict", "face.jpg", "--output", str(tmp_path / "a.parquet"))
    assert status == 1
    assert err == (
        "fer-hf: error: This needs pyarrow, which is not installed. "
        "Say: pip install 'fer-hf[train]'\n"
    )


def test_other_packages_and_lines_that_were_said_are_left_alone():
    for error in (
        ModuleNotFoundError("No module named 'elsewhere'", name="elsewhere"),
        ModuleNotFoundError("Say: pip install 'fer-hf[video]'", name="av"),
    ):
        with pytest.raises(ModuleNotFoundError) as caught, naming_missing_extra("demo"):
            raise error
        assert caught.value is error
