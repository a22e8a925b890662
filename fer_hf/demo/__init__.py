"""The demo: a page in the browser, built from tabs that share the same models.

`app/app.py` and `fer-hf demo` open it. Only rooms in here know Gradio.
"""

import os
from types import ModuleType

from fer_hf.data.import_hooks import call_after_import
from fer_hf.demo.visitor_files import keep_files_apart

# First of all, because the libraries read these when they are imported: nothing leaves the server,
# and what visitors send is kept where nobody else can read it.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
keep_files_apart()


def _write_no_stubs(component_meta: ModuleType) -> None:
    """Keep Gradio from writing type stubs beside its components: half of the time it starts in."""
    vars(component_meta)["create_or_modify_pyi"] = lambda *_: None


call_after_import("gradio.component_meta", _write_no_stubs)

from fer_hf.demo.demo_models import DemoModels  # noqa: E402
from fer_hf.demo.limits import Limits  # noqa: E402
from fer_hf.demo.page import build_demo, launch_demo  # noqa: E402

__all__ = ["DemoModels", "Limits", "build_demo", "launch_demo"]
