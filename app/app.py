"""The demo, on a laptop and as a Space: `python app.py`, with `MODEL_ID` for another model."""

import logging
import os

from fer_hf.demo import DemoModels, build_demo, launch_demo

models = DemoModels([os.environ.get("MODEL_ID") or "resnetv2-ferplus"])
demo = build_demo(models)

if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    logging.getLogger("fer_hf").setLevel(logging.INFO)
    launch_demo(demo, models)
