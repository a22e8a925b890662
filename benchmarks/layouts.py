"""Show what `fer-hf data` says of a tiny made sample of each layout, in benchmarks/layouts.md.

    python benchmarks/layouts.py

The samples are those of the tests, which hold the label of every picture (tests/layout_samples.py).
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from layout_samples import SAMPLES, write_sample  # noqa: E402

KNOWN_FROM = {
    "RAF-DB": "list and codes: Li et al. 2017, two public loaders",
    "RAF-DB as Kaggle's numbered folders": "two public loaders of `shuvoalok/raf-db-dataset`",
    "ExpW": "Zhang et al. 2018; three public loaders of `label.lst`",
    "AffectNet, unpacked": "Mollahosseini et al. 2017; five public loaders; the type in `_exp.npy` "
    "is not certain, so texts and numbers are read",
    "AffectNet's lists": "Mollahosseini et al. 2017; the header as in two public files",
    "AffectNet for YOLO": "`fatihkgg/affectnet-yolo-format`, two public loaders",
    "AffectNet with Kaggle's labels.csv": "`noamsegal/affectnet-training-data`; its list and its "
    "folders disagree, and the list is the newer one",
    "FER+ as its code writes it": "microsoft/FERPlus: its `label.csv` and its code",
    "FER2013": "the header as in three public notebooks, with its blanks",
    "FER2013 as folders": "`msambare/fer2013`, four public loaders",
    "CK+ as its four zips": "Lucey et al. 2010; its read-me and two public loaders",
    "CK+48": "listings in two public repositories",
    "CK+ as a table": "`davilsena/ckdataset`: codes with their counts on two pages",
    "SFEW 2.0": "Dhall et al. 2011; five public loaders",
    "SFEW 2.0 with its table": "two public loaders",
    "KDEF": "its read-me (Lundqvist et al. 1998) and four public loaders",
    "JAFFE": "Lyons et al. 1998; four public loaders",
    "FERG": "Aneja et al. 2016: its read-me and five public loaders",
    "MUG": "Aifanti et al. 2010; six public loaders; names of pictures are not certain",
    "Oulu-CASIA": "Zhao et al. 2011; eight public loaders",
    "RaFD": "Langner et al. 2010: its FAQ and four public loaders",
    "ADFES": "van der Schalk et al. 2011; six public loaders",
    "Yale faces": "its read-me (Belhumeur et al. 1997), a listing and two public loaders",
    "FER2013 as numbered folders": "three public loaders",
    "AffectNet as Kaggle's word folders": "public loaders of several copies",
    "NimStim": "Tottenham et al. 2009; a listing and four public loaders",
    "BU-3DFE": "Yin et al. 2006; five public loaders",
    "KMU-FED": "three public loaders",
    "FACES": "Ebner et al. 2010: its help pages and two public loaders",
    "Chicago Face Database": "Ma et al. 2015; five public loaders",
    "Bosphorus": "Savran et al. 2008; four public loaders",
    "CREMA-D frames": "Cao et al. 2014; five public loaders",
    "RAVDESS frames": "Livingstone and Russo 2018: its read-me and two public loaders",
}


def describe(folder: Path, home: str, options: dict[str, object]) -> str:
    """Return the line that `fer-hf data` prints first."""
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "fer_hf", "data", str(folder), *flags],
        env={**os.environ, "HF_HOME": home, "HF_HUB_OFFLINE": "1"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[0].removeprefix("understood as ")


def main() -> None:
    """Write each sample, and what is said of it."""
    lines = [
        "# Layouts",
        "",
        "What `fer-hf data` says of a tiny made sample of each; `benchmarks/layouts.py` writes it.",
        "Tests hold the label of every picture. The last line says where names and codes are known",
        "from.",
    ]
    for name, sample in SAMPLES.items():
        paths = [*sample.labels, *sample.files]
        with tempfile.TemporaryDirectory() as home:
            folder = write_sample(Path(home) / "sample", sample)
            said = describe(folder, home, sample.options)
        said = re.sub(r"([*_<])", r"\\\1", said)
        shown = dict.fromkeys([paths[0], *sorted(sample.files)[:2]])
        lines += ["", f"**{name}**: {', '.join(f'`{path}`' for path in shown)}", "", f"> {said}"]
        if name in KNOWN_FROM:
            lines += ["", f"Known from: {KNOWN_FROM[name]}."]
        print(f"{name}: {said}", flush=True)
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
