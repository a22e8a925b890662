"""`fer-hf demo`: open the page in which a model can be tried, on this machine."""

import argparse
from collections.abc import Sequence

from fer_hf.models.bundled import BUNDLED_MODEL

_EPILOG = """\
The page works without a network. Pictures that are shown to it stay on this machine, for minutes.
Every function of the page can also be called: see "Use via API" at its end. With
`pip install 'fer-hf[mcp]'` and GRADIO_MCP_SERVER=True they are tools for language models, too,
which send pictures as `data:` addresses.

examples:
  fer-hf demo                                               the model in the box
  fer-hf demo --detector yunet                              find more faces; it is fetched once
  fer-hf demo --model runs/my_faces/*/                      your own models, to compare them, too
"""


def main(args: Sequence[str]) -> None:
    """Serve the page until interrupted."""
    parser = argparse.ArgumentParser(
        prog="fer-hf demo",
        description="Open a page to try a model with pictures, a webcam and videos.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model",
        nargs="+",
        default=[BUNDLED_MODEL],
        help="checkpoint folders or Hub ids; with two or more, they can be compared (default: the "
        "model in the box)",
    )
    parser.add_argument(
        "--detector",
        default="auto",
        help="haar, yunet, or the file of YuNet (default: YuNet if it was fetched before)",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="0.0.0.0 for everybody (default: this machine alone)"
    )
    parser.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    given = parser.parse_args(args)
    try:
        from fer_hf.demo import DemoKit, build_demo, launch_demo
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"The demo needs {error.name}, which is not installed. Say: pip install 'fer-hf[demo]'",
            name=error.name,
        ) from error
    kit = DemoKit(given.model, detector=given.detector)
    launch_demo(build_demo(kit), kit, host=given.host, port=given.port)
