"""Try a hundred heads on a frozen backbone.

Learning rate × weight decay × label weights × pooling × head, all on features that the backbone
computes once. The best head is chosen on validation; train the one you like with `train.py`, and
judge it on test.

example: fer-hf sweep my_faces --model resnetv2-ferplus
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_hf.cli.parsing import add_shared, build_parser, parse

if TYPE_CHECKING:
    from fer_hf.training.frozen.head_sweep import SweptHead

_BATCH_SIZE = 128


def main(args: Sequence[str]) -> None:
    """Print the best heads, and write all of them with a picture."""
    parser = build_parser(__name__, __doc__, reads_pictures=True)
    add_shared(parser, "source", "--output_dir")
    add_shared(parser, "--model", help="backbone (default: the bundled model)")
    parser.add_argument("--weights", default="auto", help="as for train.py")
    parser.add_argument("--input_size", type=int, help="as for train.py")
    for name, default in (("num_train_epochs", 10), ("dense_size", 256), ("seed", 42)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    parser.add_argument("--best", type=int, default=8, help="how many heads to print (default: 8)")
    given = parse(parser, args)

    from fer_hf.evaluation.reports.provenance import name_source
    from fer_hf.training.frozen.head_sweep import sweep
    from fer_hf.training.run_folder import choose_folder, claim_output_dir

    splits = given.pictures.load()
    folder = Path(given.output_dir or choose_folder(f"{name_source(given.source)}-sweep"))
    claim_output_dir(folder, resume=False, overwrite=False)
    heads, seconds = sweep(
        splits,
        given.model,
        weights=given.weights,
        input_size=given.input_size,
        seed=given.seed,
        epochs=given.num_train_epochs,
        batch_size=_BATCH_SIZE,
        dense_size=given.dense_size,
    )
    _save(heads, folder)
    print(_render_heads(heads[: given.best]))
    print(
        f"\nPercent, on validation; gap: train − validation accuracy. {len(heads)} heads in "
        f"{seconds:.0f} s; all of them are in {folder}. Train the best with\n\n  "
        f"{_render_command(given, heads[0])}\n"
    )


def _save(heads: "Sequence[SweptHead]", folder: Path) -> None:
    import json
    from dataclasses import asdict

    from fer_hf.evaluation.reports.report_files import write_text_atomically
    from fer_hf.evaluation.reports.run_plots import plot_sweep

    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for head in sorted(heads, key=lambda row: row.settings.learning_rate):
        item = head.settings
        lines = panels.setdefault(f"{item.head}, {item.pooling} pooling", {})
        line = lines.setdefault(f"decay {item.weight_decay:g}, weights {item.class_weights}", [])
        line.append((item.learning_rate, head.validation["f1_macro"]))
    order = dict(sorted(panels.items(), reverse=True))
    plot_sweep(order).savefig(folder / "sweep.png")
    text = json.dumps([asdict(head) for head in heads], indent=1)
    write_text_atomically(folder / "sweep.json", text + "\n")


def _render_heads(heads: "Sequence[SweptHead]") -> str:
    from fer_hf.evaluation.reports.blocks import Table

    rows = [
        [
            head.settings.pooling,
            head.settings.head,
            f"{head.settings.learning_rate:g}",
            f"{head.settings.weight_decay:g}",
            head.settings.class_weights,
            f"{100 * head.validation['f1_macro']:.1f}",
            f"{100 * head.validation['accuracy']:.1f}",
            f"{100 * head.accuracy_gap:+.1f}",
        ]
        for head in heads
    ]
    names = ["pooling", "head", "learning rate", "weight decay", "class weights"]
    return Table([*names, "macro F1", "accuracy", "gap"], rows).to_text()


def _render_command(given: Namespace, best: "SweptHead") -> str:
    item = best.settings
    flags = {
        "data": given.source,
        "model_name_or_path": given.model,
        "weights": given.weights if given.weights != "auto" else None,
        "input_size": given.input_size,
        "pooling": item.pooling,
        "head": item.head,
        "learning_rate": f"{item.learning_rate:g}",
        "weight_decay": f"{item.weight_decay:g}",
        "class_weights": item.class_weights,
        "per_device_train_batch_size": _BATCH_SIZE,
        "num_train_epochs": given.num_train_epochs,
    }
    shown = " ".join(f"--{name} {value}" for name, value in flags.items() if value is not None)
    return f"accelerate launch train.py {shown}"
