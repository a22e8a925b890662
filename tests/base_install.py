"""The base install by itself, as a user has it: `python tests/base_install.py FER_HF`."""

import json
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import fer_hf
from fer_hf.data.drawn.faces import draw_face


def run(*args, status=0):
    """Call `fer-hf`; return what it printed, and its last line of errors."""
    done = subprocess.run([sys.argv[1], *map(str, args)], capture_output=True, text=True)
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout, (done.stderr.splitlines() or [""])[-1]


def main():
    """Check what the base promises."""
    for name in ("torch", "pandas", "pyarrow", "scipy", "matplotlib", "datasets", "cv2", "av"):
        assert find_spec(name) is None, name
    [reading] = fer_hf.ExpressionClassifier().read([draw_face("happy", size=160, seed=5)])
    assert reading.top_label == "happy"
    with tempfile.TemporaryDirectory() as folder:
        face, packed = Path(folder, "face.png"), Path(folder, "faces.zip")
        draw_face("happy", size=160, seed=5).save(face)
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(face, "a.png")
        [line] = run("predict", face, "--json")[0].splitlines()
        assert json.loads(line)["scores"].keys() == reading.scores.keys()
        for place in (folder, f"{folder}/*.png", packed):
            assert "happy" in run("predict", place)[0], place
        # Faces are found, too; whether a drawn one is, is for the tests of the detector to say.
        for line in run("predict", face, "--faces", "--json")[0].splitlines():
            assert json.loads(line)["face"]
        table = Path(folder, "scores.csv")
        for new in (1, 0):
            out, _ = run("predict", face, "--output", table)
            assert f"1 pictures, {new} of them new" in out
        table.rename(parquet := Path(folder, "scores.parquet"))
        for args, extra in (
            (["predict", table.with_suffix(".parquet")], "train"),
            (["predict", face, "--output", parquet], "train"),
            (["video", "0"], "video"),
            (["train"], "train"),
            (["evaluate", "x", "--help"], "train"),
            (["demo"], "demo"),
        ):
            assert run(*args, status=1)[1].endswith(f"Say: pip install 'fer-hf[{extra}]'"), args
    sys.stdout.write("the base answers\n")


if __name__ == "__main__":
    main()
