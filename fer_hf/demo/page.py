"""The page: its tabs in order, its look, and how it is served."""

import gradio as gr

from fer_hf.demo.kit import DemoKit


def build_demo(kit: DemoKit) -> gr.Blocks:
    """Lay out the page; nothing is opened before the first visitor."""
    with gr.Blocks(title="fer_hf", analytics_enabled=False) as demo:
        gr.Markdown("# fer_hf")
    return demo


def launch_demo(kit: DemoKit, *, host: str = "127.0.0.1", port: int | None = None) -> None:
    """Serve the page until interrupted."""
    build_demo(kit).launch(server_name=host, server_port=port, ssr_mode=False)
