"""Open a page to try a model with pictures, a webcam and videos.

The page works without a network. The pictures you show it stay on this machine, for minutes.
Every function of the page can also be called by programs: see "Use via API" at the bottom of the
page. With `pip install 'fer-hf[mcp]'` and GRADIO_MCP_SERVER=True, language models can use them as
tools and send pictures as `data:` addresses.

Examples:
  fer-hf demo                                               the bundled model
  fer-hf demo --detector yunet                              find faces with YuNet; downloaded once
  fer-hf demo --model runs/my_faces/*/                      your own models, and compare them
"""

from collections.abc import Sequence

from fer_hf.cli.parsing import add_shared, build_parser, parse
from fer_hf.models.bundled import BUNDLED_MODEL


def main(args: Sequence[str]) -> None:
    """Serve the page until interrupted."""
    parser = build_parser(__name__, __doc__)
    add_shared(
        parser,
        "--model",
        nargs="+",
        default=[BUNDLED_MODEL],
        help="checkpoint folders or Hub ids; two or more can be compared (default: the bundled "
        "model)",
    )
    add_shared(parser, "--detector")
    parser.add_argument(
        "--host", default="127.0.0.1", help="0.0.0.0 lets others in (default: this machine only)"
    )
    parser.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    given = parse(parser, args)
    from fer_hf.demo import DemoModels, build_demo, launch_demo

    models = DemoModels(given.model, detector=given.detector)
    launch_demo(build_demo(models), models, host=given.host, port=given.port)
