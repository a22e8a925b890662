"""What is missing is named with its extra, wherever it is missed."""

import sys

import pytest

import fer_hf
from fer_hf import cli
from fer_hf.data.extras import naming_missing_extra

COMMANDS = (
    *("audit", "compare", "data", "evaluate", "export"),
    *("fit", "push", "push_data", "sweep", "train"),
)


@pytest.fixture
def base(monkeypatch):
    """An environment in which only the base is installed, and nothing of ours is loaded."""
    for name in list(sys.modules):
        if name.startswith("fer_hf."):
            monkeypatch.delitem(sys.modules, name)
    absent = "av cv2 gradio torch transformers datasets accelerate evaluate scipy sklearn pyarrow"
    for name in absent.split():
        for loaded in [name, *(one for one in sys.modules if one.startswith(f"{name}."))]:
            monkeypatch.setitem(sys.modules, loaded, None)


@pytest.mark.parametrize(
    ("name", "extra"),
    [("fine_tune", "train"), ("load_splits", "train"), ("analyse_video", "video")],
)
def test_what_the_package_offers_says_what_it_lacks(base, name, extra):
    with pytest.raises(ModuleNotFoundError, match=rf"Say: pip install 'fer-hf\[{extra}\]'$"):
        getattr(fer_hf, name)


@pytest.mark.parametrize(
    "command",
    [
        "audit",
        "compare",
        "data",
        "evaluate",
        "export",
        "fit",
        "push",
        "push_data",
        "sweep",
        "train",
    ],
)
def test_a_command_without_its_extra_is_one_line(base, capsys, command):
    call = {"compare": ["a", "--data", "b"], "push": ["a", "b/c"], "push_data": ["a", "b/c"]}
    assert cli.main([command, *call.get(command, ["x"])]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fer-hf: error: This needs ")
    assert err.endswith("Say: pip install 'fer-hf[train]'\n")
    assert err.count("\n") == 1


def test_help_says_what_the_extra_would_be_good_for(base, capsys):
    assert cli.main(["evaluate", "--help"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("Measure a trained model on labelled pictures")
    assert err.endswith("Say: pip install 'fer-hf[train]'\n")


def test_a_demo_without_its_extra_is_one_line(base, capsys):
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == (
        "fer-hf: error: This needs gradio, which is not installed. "
        "Say: pip install 'fer-hf[demo]'\n"
    )


def test_a_source_that_is_no_picture_says_what_reads_tables(base, tmp_path, capsys):
    table = tmp_path / "faces.csv"
    table.write_text("path,label\na.png,sad\n")
    assert cli.main(["predict", str(table)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"There is no picture at {str(table)!r}" in line
    assert line.endswith("Say: pip install 'fer-hf[train]'")


def test_parquet_is_refused_before_anything_is_scored(base, tmp_path, capsys):
    assert cli.main(["predict", "face.jpg", "--output", str(tmp_path / "a.parquet")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "This needs pyarrow, which is not installed. Say: pip install 'fer-hf[train]'"
    )


def test_other_packages_and_lines_that_were_said_are_left_alone():
    for error in (
        ModuleNotFoundError("No module named 'elsewhere'", name="elsewhere"),
        ModuleNotFoundError("Say: pip install 'fer-hf[video]'", name="av"),
    ):
        with pytest.raises(ModuleNotFoundError) as caught, naming_missing_extra("demo"):
            raise error
        assert caught.value is error
