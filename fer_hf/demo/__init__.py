"""The demo: a page in the browser, built from tabs that share one kit of models.

`app/app.py` and `fer-hf demo` open it. Only rooms in here know Gradio.
"""

from fer_hf.demo.kit import DemoKit
from fer_hf.demo.limits import Limits
from fer_hf.demo.page import build_demo, launch_demo

__all__ = ["DemoKit", "Limits", "build_demo", "launch_demo"]
