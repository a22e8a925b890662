"""Why?, Teach it, Compare and About where nothing that trains is installed."""

import subprocess
import sys

# Gradio brings pandas, jinja2 and PyYAML.
SCRIPT = """
import sys

absent = "torch torchvision transformers timm datasets accelerate evaluate sklearn scipy matplotlib"
sys.modules.update(dict.fromkeys([*absent.split(), "pyarrow", "tabulate", "onnx"]))

from pathlib import Path

from fer_hf.data.drawn.faces import draw_face
from fer_hf.demo import DemoModels, build_demo
from fer_hf.demo.components import read_picture
from fer_hf.demo.head_teaching import open_backbone, teach_head
from fer_hf.demo.tabs.about_tab import render_figures
from fer_hf.demo.tabs.why_tab import render_legend
from fer_hf.inference.explanation import compute_heat_map, render_heat_map
from fer_hf.models.bundled import BUNDLED_MODEL

folder = Path(sys.argv[1]) / "mine"
faces = {name: [draw_face(name, size=96, seed=n) for n in range(4)] for name in ("happy", "anger")}
report = teach_head(open_backbone(BUNDLED_MODEL), faces, folder)
assert report.evaluations["validation"].num_pictures == 8
models = DemoModels([BUNDLED_MODEL, str(folder)])
build_demo(models)
for source in models.sources:
    _, panels, [reading] = read_picture(
        models.open_reader(source), faces["happy"][0], whole_picture=True
    )
    assert "happy" in reading["scores"]
heat_map = compute_heat_map(models.reader.classifier, faces["happy"][0], "happy")
assert render_heat_map(faces["happy"][0], heat_map).size == (96, 96)
assert "#fcfea4" in render_legend(1, "happy", 0.9, has_evidence=True)
assert "| happy" in render_figures("bundled", BUNDLED_MODEL)
assert "| anger" in render_figures("mine", str(folder))
"""


def test_tabs_work_without_anything_that_trains(tmp_path):
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], check=True, timeout=200)
