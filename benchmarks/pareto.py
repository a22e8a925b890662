"""Distil networks of several sizes from the bundled model, and plot what each size costs and gives.

Writes benchmarks/pareto.md and pareto.png. Teachers answer once, to stored views of each training
picture, so that a small network learns from them at its own speed: thousands of pictures a second.

    python benchmarks/pareto.py views --ferplus FERPLUS --teachers resnetv2-ferplus TEACHER
    python benchmarks/pareto.py front --epochs 8 --learning_rate 3e-3 --mixup 0.2     (every size)
    torchrun --nproc_per_node 2 benchmarks/pareto.py long       (one size, into runs/pareto/stem-l)
    python benchmarks/pareto.py finish              (makes a run of it, calibrated, with its card)
    python benchmarks/pareto.py measure                              (times all, writes the table)

The first teacher answers to every view, the others, which may be large, to the plain picture. Every
figure is of validation. `long` and `finish` are a run of the recipe tiny-ferplus; `train.py` asks
the teachers at each step instead, which takes many times as long. Sizes that are not trained keep
their rows in benchmarks/pareto.json.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

# Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))

import numpy as np
import torch
from tabulate import tabulate
from torch import distributed as dist
from torch.nn import functional
from transformers import get_cosine_schedule_with_warmup

from fer_hf.data import load_splits
from fer_hf.data.drawn.faces import draw_face
from fer_hf.emotions import EMOTIONS
from fer_hf.evaluation.metrics.calibration import compute_logit_offsets, fit_temperature
from fer_hf.evaluation.metrics.evaluation import compute_metrics
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.reports.plot_style import (
    INK,
    MUTED,
    PERCENT,
    VALIDATION,
    build_figure,
    style_axes,
)
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.networks import MODEL_FILE
from fer_hf.models import DEFAULT_MODEL, TINY_MODEL, LoadedModel, load_checkpoint, load_model
from fer_hf.publishing.onnx_export import write_onnx
from fer_hf.training.augmentation import Augmentation
from fer_hf.training.ema import AveragedWeights
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.inputs import build_picture_sets, load_teachers
from fer_hf.training.recipes import parse_runs
from fer_hf.training.run import finish_run
from fer_hf.training.stages import Stage
from fer_hf.training.targets import compute_vote_shares, mix_batch
from fer_hf.training.trainer import FerTrainer

FOLDER = Path(__file__).parent
ROWS = FOLDER / "pareto.json"
FIGURES = ("accuracy", "balanced_accuracy", "nll")
RECIPE = "tiny-ferplus"
VIEW_SIZE = 48
"""Side of a stored view: FER+'s own; networks with a larger input get it enlarged."""


def _size(
    architecture: str, input_size: int, channels: list[int], layers: list[int], **others: Any
) -> dict[str, Any]:
    args = {"channels": channels, "layers": layers, **others}
    return {"model_name_or_path": architecture, "input_size": input_size, "model_args": args}


DEEP: dict[str, Any] = {"stem_type": "deep", "stem_width": 16}
SIZES = {
    "wide-48": _size("resnetv2_18", 48, [32, 64, 128], [1, 1, 1], stem_chs=32),
    "deep-64": _size(
        "resnetv2_18", 64, [16, 32, 64, 128], [1, 1, 2, 1], stem_chs=16, output_stride=16
    ),
    # A ResNet has four stages; one without blocks is nothing.
    "stem-xs": _size("resnet18", 48, [16, 32, 64, 64], [1, 1, 1, 0], **{**DEEP, "stem_width": 8}),
    "stem-s": _size("resnet18", 48, [32, 48, 64, 64], [1, 1, 1, 0], **DEEP),
    "stem-m": _size("resnet18", 48, [32, 64, 128, 128], [1, 1, 1, 0], **DEEP),
    "stem-l": _size("resnet18", 48, [32, 64, 128, 128], [1, 2, 1, 0], **DEEP),
}
"""By name: a slim ResNetV2-18, or a slim ResNet-18 with three small convolutions as its stem."""

INTRO = """\
# Size against accuracy

Written by `python benchmarks/pareto.py`. Slim ResNets that were distilled from the bundled model
and one larger teacher: all of them for the same few epochs (learning rate 3e-3, mixup 0.2), with
the same seed. The bundled models were trained longer, so they show what a size can reach and the
others how sizes compare: `tiny-ferplus` is `stem-l` after 93 epochs (54 minutes on two busy cores,
and 30 for the teachers' answers to eight and ten views of each picture).

FER+ validation, majority protocol, logit adjustment 0.2 (95 % interval about ±1.2 points of
accuracy). `ms` is what a face costs that is cut out already (112 pixels), on one thread of
onnxruntime, preprocessing included; `faces/s` is that of batches of 32 on two threads; medians, in
turns in one run on a machine that had other work: read their ratios. `MB` are the weights in half
precision.
"""


def store_views(ferplus: str, teachers: list[str], num: int, work: Path) -> None:
    """Store `num` views of each training picture, the plain one first, and the teachers' scores."""
    train = load_splits(ferplus)["train"]
    loaded = build(SIZES["wide-48"])
    faces = FaceDataset(train, loaded.image_processor, seed=7)
    networks = [teacher.eval() for teacher in load_teachers(teachers, loaded)]
    side = VIEW_SIZE
    views = np.lib.format.open_memmap(
        work / "views.npy", "w+", np.uint8, (num, len(faces), side, side)
    )
    scores = np.zeros((len(networks), num, len(faces), len(EMOTIONS)), np.float32)
    for view in range(num):
        # Flips come in training.
        faces.augmentation = Augmentation(flip=0) if view else None
        faces.set_epoch(view)
        for start in range(0, len(faces), 256):
            rows = range(start, min(start + 256, len(faces)))
            levels = (127.5 * (faces.fetch(rows)[:, 0] + 1)).round().clamp(0, 255).byte()
            views[view, rows] = levels.numpy()
            for place, network in enumerate(networks):
                if place == 0 or view == 0:
                    scores[place, view, rows] = ask(network, prepare(levels, side))
        print(f"view {view + 1} of {num}", flush=True)
    scores[1:, 1:] = scores[1:, :1]
    np.save(work / "scores.npy", scores.mean(axis=0).astype(np.float16))


@torch.inference_mode()
def ask(network: torch.nn.Module, pixel_values: torch.Tensor) -> np.ndarray:
    """Return a teacher's scores."""
    with torch.autocast("cpu", torch.bfloat16):
        return network(pixel_values=pixel_values).logits.float().softmax(dim=1).numpy()


def prepare(levels: torch.Tensor, side: int) -> torch.Tensor:
    """Turn grey levels (N, 48, 48) into `pixel_values` (N, 3, side, side)."""
    grey = (levels.float() / 127.5 - 1)[:, None]
    if side != levels.shape[-1]:
        grey = functional.interpolate(grey, (side, side), mode="bilinear")
    return grey.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def build(size: dict[str, Any]) -> LoadedModel:
    """Return a network of one of `SIZES` with random weights."""
    return load_model(label_names=EMOTIONS, weights="none", dropout=0.0, **size)


def distil(
    loaded: LoadedModel, work: Path, votes: np.ndarray, given: argparse.Namespace, report: Callable
) -> None:
    """Teach a network the people's votes and the teachers' scores of the stored views."""
    views = np.load(work / "views.npy", mmap_mode="r")
    shares = torch.from_numpy(compute_vote_shares(votes)).float()
    scores = torch.from_numpy(np.load(work / "scores.npy")).float()
    targets = torch.lerp(shares.expand_as(scores), scores, given.teacher_weight)
    network: Any = loaded.model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]
    side = loaded.model.config.pretrained_cfg["input_size"][-1]
    learner = torch.compile(network)
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    rng = np.random.default_rng(given.seed)
    own_rng = np.random.default_rng((given.seed, rank))
    torch.manual_seed(given.seed + rank)
    steps_per_epoch = len(shares) // (given.batch_size * world)
    num_steps = given.epochs * steps_per_epoch
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=given.learning_rate, weight_decay=0.05)
    schedule = get_cosine_schedule_with_warmup(optimizer, num_steps // 20, num_steps)
    averaged = AveragedWeights(network, 0.999)
    first_views = rng.integers(len(views), size=len(shares))
    for epoch in range(given.epochs):
        network.train()
        order = rng.permutation(len(shares))[: steps_per_epoch * world * given.batch_size]
        total = 0.0
        for rows in order.reshape(steps_per_epoch, world, -1)[:, rank]:
            chosen = (first_views[rows] + epoch) % len(views)
            levels = torch.from_numpy(views[chosen, rows])
            pixel_values = prepare(move(levels, own_rng), side)
            wanted = targets[chosen, rows]
            if epoch < 0.6 * given.epochs:
                pixel_values, wanted = mix_batch(pixel_values, wanted, given.mixup)
            with torch.autocast("cpu", torch.bfloat16):
                logits = learner(pixel_values=pixel_values).logits
            loss = functional.cross_entropy(logits.float(), wanted)
            optimizer.zero_grad()
            loss.backward()
            if world > 1:
                average_gradients(network, world)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
            total += loss.item()
        if rank == 0:
            with averaged.in_place_of(network):
                report(epoch + 1, total / steps_per_epoch)
    network.load_state_dict(averaged.module.state_dict())


def average_gradients(network: torch.nn.Module, world: int) -> None:
    """Let the processes of a launch take the same step: threads would wait for each other."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    parts = (flat / world).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def move(levels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mirror half of the pictures, and shift all by up to two pixels."""
    levels = torch.where(torch.rand(len(levels), 1, 1) < 0.5, levels.flip(-1), levels)
    top, left = rng.integers(5, size=2)
    side = levels.shape[-1]
    padded = functional.pad(levels.float()[:, None], (2, 2, 2, 2), mode="replicate")[:, 0]
    return padded[:, top : top + side, left : left + side]


@torch.inference_mode()
def compute_logits(loaded: LoadedModel, faces: FaceDataset) -> np.ndarray:
    """Return logits of a whole split, in float32."""
    network: Any = loaded.model.eval()
    batches = [range(i, min(i + 256, len(faces))) for i in range(0, len(faces), 256)]
    return np.concatenate([network(pixel_values=faces.fetch(b)).logits.numpy() for b in batches])


def train(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Distil one size, leave it and its row in the work folder, and return the row."""
    torch.manual_seed(given.seed)
    splits = load_splits(given.ferplus)
    loaded = load_checkpoint(given.weights) if given.weights else build(SIZES[name])
    votes = np.asarray(splits["train"]["votes"][:])
    offsets = compute_logit_offsets(compute_vote_shares(votes).mean(axis=0), given.logit_adjustment)
    faces = FaceDataset(splits["validation"], loaded.image_processor)

    def measure() -> dict[str, float]:
        logits, labels = compute_logits(loaded, faces) + offsets, faces.labels.numpy()
        scores = compute_softmax(logits / fit_temperature(logits, labels))
        found = compute_metrics(scores, labels)
        return {figure: found[figure] for figure in FIGURES}

    def report(epoch: int, loss: float) -> None:
        if epoch % 5 == 0 or epoch == given.epochs:
            shown = {figure: round(value, 4) for figure, value in measure().items()}
            took = time.perf_counter() - start
            print(f"{name}: epoch {epoch}, {took:.0f} s, loss {loss:.4f}, {shown}", flush=True)
            loaded.save(given.work / f"{name}{given.suffix}", "float32")

    start = time.perf_counter()
    distil(loaded, given.work, votes, given, report)
    row = {
        **SIZES[name],
        "parameters": loaded.model.num_parameters(),
        "epochs": given.epochs,
        "minutes": (time.perf_counter() - start) / 60,
        "seed": given.seed,
        "views": given.num_views,
        "validation": measure(),
    }
    (given.work / f"{name}{given.suffix}.json").write_text(json.dumps(row, indent=1))
    return row


def finish(name: str, given: argparse.Namespace) -> None:
    """Calibrate what `long` left, and make a run of the recipe of it, with report and card."""
    arguments = ["--config", RECIPE, "--data", given.ferplus, "--output_dir", str(given.output_dir)]
    # Trainer would measure in bfloat16, too.
    (run,) = parse_runs([*arguments, "--overwrite_output_dir", "--bf16", "False"])
    row = json.loads((given.work / f"{name}.json").read_text())
    splits = run.data.load()
    loaded = replace(load_checkpoint(str(given.work / name)), pretrained_on="none")
    sets = build_picture_sets(splits, loaded.image_processor, run.training)
    trainer = FerTrainer(
        model=loaded.model,
        args=run.training,
        train_dataset=sets["train"],
        eval_dataset=sets["validation"],
    )
    notes = {"stored_views": row["views"], "num_train_epochs": row["epochs"], "bf16": True}
    stage = Stage(trainer, sets, "all layers", 60 * row["minutes"], notes)
    finish_run(loaded, stage, splits, run.data, run.model, run.training)


def time_all(sources: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Time checkpoints on onnxruntime, in turns.

    Returns:
        Of each, milliseconds for a face that is cut out already (112 pixels, one thread, with
        preprocessing), and faces per second in batches of 32 on two threads; medians.
    """
    faces = [draw_face("happy", size=112, seed=seed) for seed in range(32)]
    with tempfile.TemporaryDirectory() as temporary:
        for name, source in sources.items():
            loaded = load_checkpoint(source)
            loaded.model.save_pretrained(Path(temporary) / name)
            write_onnx(loaded, Path(temporary) / name / MODEL_FILE)
        found = []
        for threads, batch, num in ((1, faces[:1], 200), (2, faces, 15)):
            os.environ["OMP_NUM_THREADS"] = str(threads)  # read for each session
            taken: dict[str, list[float]] = {name: [] for name in sources}
            opened = {
                name: ExpressionClassifier(str(Path(temporary) / name), backend="onnx")
                for name in sources
            }
            for turn in range(num):
                for name, classifier in opened.items():
                    for call in range(3):
                        start = time.perf_counter()
                        classifier(batch)
                        if call and turn:  # the others had the cache meanwhile
                            taken[name].append(time.perf_counter() - start)
            found.append({name: float(np.median(seconds)) for name, seconds in taken.items()})
    return {name: (1000 * found[0][name], len(faces) / found[1][name]) for name in sources}


def describe_bundled(source: str) -> dict[str, Any]:
    """Return the row of a bundled model, from its report."""
    report = load_report(source)
    evaluation = report.evaluations["validation"]
    return {
        "input_size": report.input_size,
        "parameters": report.num_parameters,
        "bytes": (Path(source) / "model.safetensors").stat().st_size,
        "validation": {figure: getattr(evaluation, figure).value for figure in FIGURES},
    }


def render(rows: dict[str, dict[str, Any]]) -> str:
    """Render the table."""
    cells = [
        [
            name,
            " ".join(map(str, row["model_args"]["channels"])) if "model_args" in row else "",
            " ".join(map(str, row["model_args"]["layers"])) if "model_args" in row else "",
            row["input_size"],
            f"{row['parameters'] / 1e3:,.0f} k",
            f"{row.get('bytes', 2 * row['parameters']) / 1e6:.2f}",
            f"{row['ms']:.2f}",
            f"{row['per_second']:,.0f}",
            *(f"{100 * row['validation'][figure]:.1f}" for figure in FIGURES[:2]),
            f"{row['validation']['nll']:.3f}",
        ]
        for name, row in sorted(rows.items(), key=lambda item: item[1]["ms"])
    ]
    headers = ["size", "channels", "blocks", "px", "weights", "MB", "ms", "faces/s"]
    headers += ["acc.", "bal.", "NLL"]
    return tabulate(cells, headers, "github", disable_numparse=True)


def plot(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw accuracy and balanced accuracy on validation over milliseconds, with MB as area."""
    figure = build_figure(
        9, 4.2, "FER+ validation by milliseconds a face on one thread; area: weights on disk"
    )
    for place, name in enumerate(("accuracy", "balanced_accuracy")):
        axes = figure.add_subplot(1, 2, place + 1)
        style_axes(axes, f"{name.replace('_', ' ')}; bold: trained for longer")
        axes.set_xscale("log")
        axes.yaxis.set_major_formatter(PERCENT)
        for label, row in rows.items():
            is_bundled = "model_args" not in row
            area = 60 * row.get("bytes", 2 * row["parameters"]) / 1e6
            value = row["validation"][name]
            axes.scatter(row["ms"], value, area, color=VALIDATION if is_bundled else MUTED)
            axes.annotate(
                label, (row["ms"], value), xytext=(5, 5), textcoords="offset points",
                fontsize=8, color=INK, fontweight="bold" if is_bundled else "normal",
            )  # fmt: skip
        ticks = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlim(0.1, 20)
    figure.savefig(path)


def main() -> None:
    """Run the step that was asked for, and keep its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["views", "front", "long", "finish", "measure"])
    parser.add_argument("--ferplus", default="../shared/data/ferplus", help="where FER+ is")
    parser.add_argument("--teachers", nargs="+", default=["resnetv2-ferplus"])
    parser.add_argument("--num_views", type=int, default=8)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, help="default: all, or stem-l")
    parser.add_argument("--work", type=Path, default=Path("runs/pareto"), help="where it works")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/tiny-ferplus"))
    parser.add_argument(
        "--weights", help="weights that `long` goes on from, in place of random ones"
    )
    parser.add_argument("--suffix", default="", help="after the name of what `long` leaves")
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--learning_rate", type=float, default=4e-3)
    parser.add_argument("--mixup", type=float, default=0.1)
    parser.add_argument("--teacher_weight", type=float, default=0.7)
    parser.add_argument("--logit_adjustment", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    chosen = given.sizes[0] if given.sizes else "stem-l"
    if given.step == "views":
        store_views(given.ferplus, given.teachers, given.num_views, given.work)
    elif given.step == "long":
        train(chosen, given)
    elif given.step == "finish":
        finish(chosen, given)
    elif given.step == "front":
        given.suffix = "-front"
        for name in given.sizes or SIZES:
            row = train(name, given)
            rows = json.loads(ROWS.read_text()) if ROWS.is_file() else {}
            ROWS.write_text(json.dumps({**rows, name: row}, indent=1) + "\n")
    else:
        write_table(given)


def write_table(given: argparse.Namespace) -> None:
    """Time all that was trained beside the bundled models, and write the table and the plot."""
    bundled = {Path(source).name: source for source in (DEFAULT_MODEL, TINY_MODEL)}
    rows = json.loads(ROWS.read_text())
    rows.update({name: describe_bundled(source) for name, source in bundled.items()})
    sources = {name: str(given.work / f"{name}-front") for name in SIZES if name in rows}
    for name, (ms, per_second) in time_all({**sources, **bundled}).items():
        rows[name].update(ms=ms, per_second=per_second)
    ROWS.write_text(json.dumps(rows, indent=1) + "\n")
    (FOLDER / "pareto.md").write_text(f"{INTRO}\n{render(rows)}\n", encoding="utf-8")
    plot(rows, FOLDER / "pareto.png")


if __name__ == "__main__":
    main()
