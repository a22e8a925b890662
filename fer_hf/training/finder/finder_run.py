"""The training of the face finder, top to bottom: pictures, scenes, network, trainer, graph."""

import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from tqdm.auto import tqdm
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from fer_hf.data import load_splits
from fer_hf.data.pictures import list_pictures
from fer_hf.faces.detectors import load_detector
from fer_hf.faces.finder import BUNDLED_FINDER, FaceFinder
from fer_hf.inference.files import open_picture
from fer_hf.training.arguments import setting
from fer_hf.training.ema import AveragedWeights
from fer_hf.training.finder.finder_check import check_finder, draw_scenes
from fer_hf.training.finder.finder_export import (
    fit_normalisations,
    read_finder,
    write_finder,
    write_min_score,
)
from fer_hf.training.finder.loss import FinderLoss
from fer_hf.training.finder.mistakes import collect_mistakes
from fer_hf.training.finder.network import FinderNetwork
from fer_hf.training.finder.portraits import (
    Portrait,
    draw_portraits,
    label_portraits,
    label_small_faces,
    load_portraits,
)
from fer_hf.training.finder.scenes import SceneDataset

logger = logging.getLogger(__name__)

PORTRAIT_SHARE, SMALL_SHARE, DRAWN_SHARE = 0.78, 0.14, 0.08
"""Of the faces in the scenes."""

NUM_VALIDATION_SCENES = 1000

NUM_FITTED_SCENES = 256
"""From which the statistics of a finder's normalisations are taken that was written without."""


@dataclass
class SceneArguments:
    """What the scenes are composed from."""

    _argument_group_name: ClassVar[str] = "scenes"

    boxes: str | None = setting(
        None, "Table (.csv) or COCO file (.json) of portraits, with box and landmarks of each face."
    )
    portraits: str | None = setting(
        None, "Folder of the portraits. Where --boxes does not exist yet, --teacher writes it."
    )
    teacher: str = setting("yunet", "Detector that finds the faces of portraits and small faces.")
    rooms: str | None = setting(None, "Folder of pictures without a face, the surroundings.")
    small_faces: str | None = setting(
        None, "Pictures that a small face fills, such as FER+, as for --data; optional."
    )
    num_small_faces: int = setting(3000, "How many of them.")
    num_drawn_faces: int = setting(2000, "How many drawn faces.")
    side: int = setting(320, "Of a scene in pixels, a multiple of 32.")
    start_from: str | None = setting(
        None,
        "Weights to start from: a finder (.onnx), `bundled`, or model.safetensors of an earlier "
        "round. What these take for faces among the rooms becomes a fifth of the surroundings.",
    )


@dataclass
class FinderTrainingArguments(TrainingArguments):
    """How the finder is trained: transformers' TrainingArguments with other defaults."""

    _argument_group_name: ClassVar[str] = "training"

    output_dir: str | None = setting("runs/finder", "Folder for checkpoints and the finder.")
    resume: bool = setting(False, "Go on from the last checkpoint in output_dir.")
    ema_decay: float = setting(0.999, "Decay per step of the moving average that is kept.")
    max_steps: int = setting(4000, "Steps; each is a batch of new scenes.")
    per_device_train_batch_size: int = setting(64, "Scenes per step in each process.")
    per_device_eval_batch_size: int = setting(64, "Scenes per step of validation.")
    learning_rate: float = setting(3e-3, "Peak learning rate.")
    weight_decay: float = setting(0.02, "Weight decay of AdamW.")
    warmup_steps: float = setting(0.03, "Steps of warm-up, or below 1 their share of all steps.")
    lr_scheduler_type: str = setting("cosine", "Schedule of the learning rate.")
    bf16: bool = setting(True, "Convolve in bfloat16, which new processors do much faster.")
    max_grad_norm: float = setting(5.0, "Longest gradient.")
    eval_strategy: str = setting("steps", "When to validate.")
    eval_steps: float = setting(0.1, "Steps between validations, or below 1 their share of all.")
    save_steps: float = setting(0.05, "Steps between checkpoints, or below 1 their share of all.")
    save_total_limit: int = setting(2, "Checkpoints to keep.")
    logging_steps: float = setting(100, "Steps between lines of the log.")


def train_finder(scenes: SceneArguments, training: FinderTrainingArguments) -> Path:
    """Train a face finder, and write it as `FaceFinder` opens it.

    Returns:
        The ONNX file.

    Raises:
        ValueError: Pictures or settings are missing.
    """
    set_seed(training.seed)
    output = Path(str(training.output_dir))
    output.mkdir(parents=True, exist_ok=True)
    # The processes of a launch would write the same table.
    with training.main_process_first(local=False):
        scenes = _write_boxes(scenes, output)
    learner, is_folded = load_learner(scenes.start_from)
    sets = build_scene_sets(scenes, training, learner.network if scenes.start_from else None)
    if is_folded:
        num = min(NUM_FITTED_SCENES, len(sets["train"]))
        frames = [sets["train"][row]["pixel_values"] for row in range(num)]
        fit_normalisations(learner.network, torch.stack(frames).float() / 255)
    if training.should_save:
        draw_scenes(sets["train"], output / "scenes.png")
    learner.to(memory_format=torch.channels_last)
    training.label_names = ["boxes"]
    training.remove_unused_columns = False
    trainer = _FinderTrainer(
        model=learner,
        args=training,
        train_dataset=sets["train"],
        eval_dataset=sets["validation"],
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(output) if training.resume else None)
    learner.load_state_dict(trainer.averaged.module.state_dict())
    trainer.save_model()
    file = output / "finder.onnx"
    if training.should_save:
        write_finder(learner.network, file)
        check = check_finder(FaceFinder(str(file)), sets["validation"])
        write_min_score(file, check.min_score)
        logger.info("%s", check.render())
    return file


def load_learner(start_from: str | None) -> tuple[FinderLoss, bool]:
    """Return the network with its loss, and whether its normalisations are still to be fitted."""
    if start_from is None:
        return FinderLoss(FinderNetwork()), False
    if start_from == "bundled" or start_from.endswith(".onnx"):
        file = BUNDLED_FINDER if start_from == "bundled" else Path(start_from)
        return FinderLoss(read_finder(file)), True
    learner = FinderLoss(FinderNetwork())
    try:
        learner.load_state_dict(load_file(start_from))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{start_from!r} does not hold a finder's weights ({type(error).__name__}), expected "
            "model.safetensors of a run of `fer-hf train_finder`."
        ) from error
    return learner, False


def build_scene_sets(
    scenes: SceneArguments,
    training: FinderTrainingArguments,
    earlier: FinderNetwork | None = None,
) -> dict[str, SceneDataset]:
    """Return the scenes of training and validation, which share no picture.

    Args:
        scenes: What they are composed from.
        training: How many there are, and their seed.
        earlier: A network whose mistakes become surroundings.
    """
    rooms = [
        _shrink(open_picture(file))
        for file in tqdm(list_pictures(Path(str(scenes.rooms))), desc="rooms", disable=None)
    ]
    portraits = load_portraits(
        Path(str(scenes.boxes)), Path(scenes.portraits) if scenes.portraits else None
    )
    small = list(_load_small_faces(scenes))
    drawn = draw_portraits(scenes.num_drawn_faces, training.seed + 1)
    parts: dict[str, SceneDataset] = {}
    world = training.world_size
    num = int(training.max_steps) * training.per_device_train_batch_size * world
    for split, num_scenes in (("train", num), ("validation", NUM_VALIDATION_SCENES)):
        # A tenth validates; a tenth of the rooms is kept for `benchmarks/faces.py`.
        kept = (lambda i: i % 10 != 8) if split == "train" else (lambda i: i % 10 == 8)
        groups = [
            (share, [one for i, one in enumerate(group) if kept(i)])
            for share, group in (
                (PORTRAIT_SHARE, portraits),
                (SMALL_SHARE, small),
                (DRAWN_SHARE, drawn),
            )
        ]
        shown = [one for i, one in enumerate(rooms) if kept(i) and i % 10 != 9]
        parts[split] = SceneDataset(
            groups,
            shown,
            num=num_scenes,
            side=scenes.side,
            seed=training.seed if split == "train" else training.seed + 1_000_003,
            mistakes=collect_mistakes(earlier, shown) if earlier and split == "train" else (),
        )
    return parts


def _shrink(picture: Image.Image, longest: int = 384) -> Image.Image:
    grey = picture.convert("L")
    grey.thumbnail((longest, longest))
    return grey


def _write_boxes(scenes: SceneArguments, output: Path) -> SceneArguments:
    """Let the teacher write the table of boxes where there is none."""
    if not (scenes.boxes or scenes.portraits):
        raise ValueError("Found no portraits, expected --boxes TABLE or --portraits FOLDER.")
    if not scenes.rooms:
        raise ValueError("Found no surroundings, expected --rooms FOLDER, without faces.")
    boxes = Path(scenes.boxes or output / "boxes.csv")
    if scenes.portraits and not boxes.exists():
        label_portraits(Path(scenes.portraits), load_detector(scenes.teacher), boxes)
    return replace(scenes, boxes=str(boxes))


def _load_small_faces(scenes: SceneArguments) -> Iterator[Portrait]:
    if scenes.small_faces:
        split = load_splits(scenes.small_faces)["train"]
        rows = random.Random(0).sample(range(len(split)), min(scenes.num_small_faces, len(split)))  # noqa: S311
        pictures = (split[row]["image"] for row in tqdm(rows, desc="small faces", disable=None))
        yield from label_small_faces(pictures, load_detector(scenes.teacher))


class _FinderTrainer(Trainer):
    """Keeps the moving average of the weights, through checkpoints, and validates it."""

    args: FinderTrainingArguments
    model: FinderLoss

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.averaged = AveragedWeights(self.model, self.args.ema_decay)
        self.add_callback(_AverageSteps(self.averaged, self.model))

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        with self.averaged.in_place_of(self.model):
            return super().evaluate(*args, **kwargs)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # safetensors takes no weights in the order of channels-last.
        weights = {name: one.contiguous() for name, one in self.model.state_dict().items()}
        super()._save(output_dir, weights)
        # A pickle; nothing of ours reads it.
        (Path(output_dir or str(self.args.output_dir)) / "training_args.bin").unlink(
            missing_ok=True
        )

    def _load_from_checkpoint(self, checkpoint: str, model: torch.nn.Module | None = None) -> None:
        super()._load_from_checkpoint(checkpoint, model)
        self.averaged.load(checkpoint)


class _AverageSteps(TrainerCallback):
    """Updates and saves the average: only callbacks are notified of steps."""

    def __init__(self, averaged: AveragedWeights, model: torch.nn.Module) -> None:
        self._averaged, self._model = averaged, model

    def on_step_end(self, *_: Any, **kwargs: Any) -> None:
        self._averaged.update_parameters(self._model)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if args.should_save:
            self._averaged.save(Path(args.output_dir) / f"checkpoint-{state.global_step}")
