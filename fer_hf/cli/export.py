"""`fer-hf export`: a checkpoint as ONNX for serving without torch, and as a page for browsers."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_hf.publishing.onnx_export import Export
    from fer_hf.training.arguments import DataArguments

_EPILOG = """\
The float32 network must give torch's scores on real pictures, and the int8 one nearly its accuracy
in less time; what does not is not kept. Without --data, drawn faces check the former, and there is
no int8, which is calibrated on training pictures.

examples:
  fer-hf export runs/mine --data my_faces                     runs/mine/onnx/
  fer-hf export resnetv2-ferplus --output_dir served          the model in the box, to serve
  fer-hf predict face.jpg --model served --backend onnx       imports no torch
  fer-hf export runs/mine --web page                          a page: python -m http.server -d page
"""
_NUM_DRAWN = 80


def main(args: Sequence[str]) -> None:
    """Export a checkpoint, and say how good the exported networks are."""
    import tempfile
    from pathlib import Path

    from transformers.utils import logging as transformers_logging

    from fer_hf.training.arguments import DataArguments, StrictParser

    parser = StrictParser(
        DataArguments,
        prog="fer-hf export",
        description="Write a checkpoint as ONNX, and as a page that scores in the browser.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="RUN", help="checkpoint folder or Hub id")
    parser.add_argument("--output_dir", metavar="FOLDER", help="default: the folder RUN itself")
    parser.add_argument("--web", metavar="FOLDER", help="also write the page here")
    parser.add_argument(
        "--web_runtime",
        metavar="FOLDER",
        help="unpacked npm package onnxruntime-web (default: npm fetches it, 33 MB)",
    )
    data, given = parser.parse_strictly(args)
    is_folder = Path(given.model).is_dir()
    if not (is_folder or given.output_dir or given.web):
        raise ValueError(
            f"{given.model!r} is no folder of yours, expected --output_dir for the exported files, "
            "or --web for a page. Add one of them."
        )
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as spare:
        folder = given.output_dir or (given.model if is_folder else spare)
        has_data = any(arg.split("=")[0] == "--data" for arg in args)
        export = _export(given.model, folder, data if has_data else None)
        print(_render(export, written=folder != spare))
        if given.web:
            from fer_hf.publishing.web import write_page

            name = Path(given.model).resolve().name if is_folder else given.model
            files = write_page(folder, given.web, name, given.web_runtime)
            megabytes = sum(file.stat().st_size for file in files) / 1e6
            print(
                f"written: {given.web} ({megabytes:.1f} MB); python -m http.server -d {given.web}"
            )


def _export(model: str, folder: str, data: "DataArguments | None") -> "Export":
    from fer_hf.data import load_splits
    from fer_hf.publishing.onnx_export import export_checkpoint

    if data is None:
        faces = load_splits("drawn", num_drawn=_NUM_DRAWN)
        return export_checkpoint(model, folder, faces["train"])
    splits = data.load()
    return export_checkpoint(model, folder, splits["validation"], splits["train"])


def _render(export: "Export", written: bool) -> str:
    lines = [
        f"float32: the same scores as torch's but for {export.score_difference:.0e}, "
        f"on {export.num_pictures} pictures"
    ]
    if (int8 := export.quantized) is not None:
        lines.append(
            f"int8: accuracy {100 * int8.quantized_accuracy:.1f} % (float32 "
            f"{100 * int8.accuracy:.1f} %) on {int8.num_pictures:,} validation pictures, "
            f"{int8.speedup:.1f} times as fast{'; not kept' if int8.find_fault() else ''}"
        )
    if written:
        networks = [file for file in export.files if file.suffix == ".onnx"]
        lines += [f"written: {file} ({file.stat().st_size / 1e6:.1f} MB)" for file in networks]
    return "\n".join(lines)
