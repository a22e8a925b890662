"""The page: its tabs in order, its look, and how it is served.

A tab is a function in a module of `tabs/` and one line of `TABS`.
"""

import logging
import socket
from typing import Any

import gradio as gr
from gradio_client.utils import traverse

from fer_hf.data.import_hooks import quieten_transformers
from fer_hf.demo.demo_models import DemoModels
from fer_hf.demo.tabs.about_tab import build_about_tab
from fer_hf.demo.tabs.batch_tab import build_batch_tab
from fer_hf.demo.tabs.compare_tab import build_compare_tab
from fer_hf.demo.tabs.live_tab import build_live_tab
from fer_hf.demo.tabs.picture_tab import build_picture_tab
from fer_hf.demo.tabs.teach_tab import build_teach_tab
from fer_hf.demo.tabs.video_tab import build_video_tab
from fer_hf.demo.tabs.why_tab import build_why_tab
from fer_hf.demo.theme import SCRIPT_FILE, STYLE_FILE, build_theme

logger = logging.getLogger(__name__)

TABS = {
    "Picture": build_picture_tab,
    "Live": build_live_tab,
    "Video": build_video_tab,
    "Why?": build_why_tab,
    "Compare": build_compare_tab,
    "Teach it": build_teach_tab,
    "Batch": build_batch_tab,
    "About": build_about_tab,
}

_HEADER = """\
<header class="fer-header">
<h1>What would people see in this face?</h1>
<p>Finds faces, guesses which expression people would see in them, and says when it is not sure.
An expression is not a feeling. Pictures stay on this server, and only for minutes.</p>
</header>
"""

_NO_ADDRESS = "Found the address of a file, expected the file itself. Upload it."
_NOT_READABLE = (
    "This upload cannot be read: the file is damaged, of another kind than asked for, or announces "
    "far too many pixels. Send another."
)


class _Page(gr.Blocks):
    """Blocks that fetch nothing from an address, and say in one line what they cannot read."""

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        for component, value in zip(block_fn.inputs, inputs, strict=True):
            # Frames of a webcam come inside a `data:` address, and without a file.
            if not getattr(component, "streaming", False):
                traverse(value, _refuse_address, lambda part: isinstance(part, dict))
        try:
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except gr.Error:
            raise
        except Exception as error:
            logger.warning("An input was refused: %s", type(error).__name__)
            raise gr.Error(_NOT_READABLE, print_exception=False) from None


def _refuse_address(file: dict[str, Any]) -> dict[str, Any]:
    """Refuse a file that is elsewhere, or inside its own address; Gradio would fetch or keep it."""
    path, url = (str(file.get(key) or "").lower() for key in ("path", "url"))
    if path.startswith(("http:", "https:")) or url.startswith("data:"):
        raise gr.Error(_NO_ADDRESS, print_exception=False)
    return file


def build_demo(models: DemoModels) -> gr.Blocks:
    """Lay out the page; models are opened by `launch_demo`, or by the first visitor."""
    limits = models.limits
    with _Page(
        title="fer_hf: what would people see in this face?",
        analytics_enabled=False,
        delete_cache=(60, limits.kept_seconds),
    ) as demo:
        gr.HTML(_HEADER, padding=False)
        with gr.Tabs():
            for name, build_tab in TABS.items():
                with gr.Tab(name):
                    build_tab(models)
    return demo.queue(
        api_open=False,  # calls through the API wait like everybody else
        max_size=limits.waiting_requests,
        default_concurrency_limit=limits.requests_at_once,
    )


def serve_demo(
    demo: gr.Blocks, models: DemoModels, *, host: str | None = None, port: int | None = None
) -> str:
    """Start serving in the background; return the address.

    Args:
        demo: What `build_demo` returned.
        models: What it was built with.
        host: Name or address to listen on; by default this machine only, in a Space everybody.
        port: By default the first free one from 7860 on.

    Raises:
        ValueError: There is no such port.
        OSError: The host is none of this machine, or the port is taken.
    """
    _check_address(host or "127.0.0.1", port or 0)
    _, address, _ = demo.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        max_file_size=models.limits.file_bytes,
        state_session_capacity=models.limits.remembered_visitors,
        footer_links=["api"],
        theme=build_theme(),
        css_paths=STYLE_FILE,
        js=SCRIPT_FILE.read_text(encoding="utf-8"),
    )
    return address


def _check_address(host: str, port: int) -> None:
    """Try to listen there: the server would fail in a thread of its own, with tracebacks."""
    if not 0 <= port <= 65_535:
        raise ValueError(f"`port` is {port}, expected 1 to 65535. Choose another --port.")
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, number) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"The demo cannot listen on host {host!r} and port {port or 'any'} ({reason}), "
            "expected a name or address of this machine and a free port. Choose another --host or "
            "--port."
        ) from None


def launch_demo(
    demo: gr.Blocks, models: DemoModels, *, host: str | None = None, port: int | None = None
) -> None:
    """Serve the page until interrupted; it is up before the models are open.

    Args:
        demo: What `build_demo` returned.
        models: What it was built with.
        host: As `serve_demo` takes it.
        port: The same.

    Raises:
        ValueError: A folder holds no image classifier, or there is no such port.
        OSError: The host is none of this machine, the port is taken, or a checkpoint cannot be
            found, reached or read.
    """
    quieten_transformers()
    address = serve_demo(demo, models, host=host, port=port)
    logger.info("The demo is at %s, Ctrl+C ends it.", address)
    try:
        models.open_all()
        demo.block_thread()
    finally:
        demo.close(verbose=False)
