"""Write a checkpoint as ONNX, and as a page that scores in the browser.

The float32 network must give the same scores as torch on real pictures; the int8 one must nearly
keep its accuracy and take less time. What fails is not kept. Without --data, the float32 network is
checked on drawn faces, and there is no int8 network, which is calibrated on training pictures.

Examples:
  fer-hf export runs/mine --data my_faces                     runs/mine/onnx/
  fer-hf export resnetv2-ferplus --output_dir served          the bundled model, to serve
  fer-hf predict face.jpg --model served --backend onnx       runs without torch
  fer-hf export runs/mine --web page                          a page: python -m http.server -d page
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from fer_hf.cli.parsing import add_shared, build_parser, parse

_NUM_DRAWN = 80


def main(args: Sequence[str]) -> None:
    """Export a checkpoint in every format, and say how good the results are."""
    parser = build_parser(__name__, __doc__, reads_pictures=True)
    parser.add_argument("model", metavar="RUN", help="checkpoint folder or Hub id")
    add_shared(parser, "--output_dir", help="default: the folder RUN itself")
    parser.add_argument("--web", metavar="FOLDER", help="also write the page here")
    parser.add_argument(
        "--web_runtime",
        metavar="FOLDER",
        help="unpacked npm package onnxruntime-web (default: npm fetches it, 33 MB)",
    )
    parser.set_defaults(data=None)
    given = parse(parser, args)
    is_folder = Path(given.model).is_dir()
    if not (is_folder or given.output_dir or given.web):
        raise ValueError(
            f"{given.model!r} is not a folder here, expected --output_dir for the exported files, "
            "or --web for a page. Add one of them."
        )

    from fer_hf.data import load_splits
    from fer_hf.publishing.export import export_checkpoint

    if given.pictures.data is None:
        validation, train = load_splits("drawn", num_drawn=_NUM_DRAWN)["train"], None
    else:
        splits = given.pictures.load()
        validation, train = splits["validation"], splits["train"]
    with tempfile.TemporaryDirectory() as spare:
        folder = given.output_dir or (given.model if is_folder else spare)
        export = export_checkpoint(
            given.model,
            folder,
            validation,
            train,
            page=given.web,
            runtime=given.web_runtime,
        )
        for result in export.results.values():
            print(result)
        networks = [file for file in export.files if file.suffix != ".json"]
        for file in networks if folder != spare else []:
            print(f"written: {file} ({file.stat().st_size / 1e6:.1f} MB)")
