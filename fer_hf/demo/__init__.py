"""The demo: a page in the browser, built from tabs that share one kit of models.

`app/app.py` and `fer-hf demo` open it. Only rooms in here know Gradio.
"""

import os

# First of all, because the libraries read these when they are imported: nothing leaves the server.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from fer_hf.demo.kit import DemoKit
from fer_hf.demo.limits import Limits
from fer_hf.demo.page import build_demo, launch_demo

__all__ = ["DemoKit", "Limits", "build_demo", "launch_demo"]
