"""The training of the face finder, top to bottom: pictures, scenes, network, trainer, graph."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from tqdm.auto import tqdm
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from fer_hf.data import load_splits
from fer_hf.data.pictures import list_pictures
from fer_hf.faces.detectors import load_detector
from fer_hf.inference.files import open_picture
from fer_hf.training.arguments import setting
from fer_hf.training.ema import AveragedWeights
from fer_hf.training.finder.finder_export import write_finder
from fer_hf.training.finder.loss import FinderLoss
from fer_hf.training.finder.network import FinderNetwork
from fer_hf.training.finder.portraits import (
    Portrait,
    draw_portraits,
    label_portraits,
    label_small_faces,
    load_portraits,
)
from fer_hf.training.finder.scenes import SceneDataset

PORTRAIT_SHARE, SMALL_SHARE, DRAWN_SHARE = 0.78, 0.14, 0.08
"""Of the faces in the scenes."""

NUM_VALIDATION_SCENES = 1000


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
    mistakes: str | None = setting(
        None, "Folder of parts of pictures in which a finder saw faces that are none; optional."
    )
    side: int = setting(320, "Of a scene in pixels, a multiple of 32.")
    start_from: str | None = setting(None, "Weights (.safetensors) to start from.")


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
    sets = build_scene_sets(scenes, training)
    learner = FinderLoss(FinderNetwork())
    learner.to(memory_format=torch.channels_last)
    if scenes.start_from:
        from safetensors.torch import load_file

        learner.load_state_dict(load_file(scenes.start_from))
    averaged = _Averaging(learner, training.ema_decay)
    training.label_names = ["boxes"]
    training.remove_unused_columns = False
    trainer = _FinderTrainer(
        model=learner,
        args=training,
        train_dataset=sets["train"],
        eval_dataset=sets["validation"],
        callbacks=[averaged],
    )
    averaged.trainer = trainer
    trainer.train(resume_from_checkpoint=get_last_checkpoint(output) if training.resume else None)
    file = output / "finder.onnx"
    if training.should_save:
        write_finder(averaged.network, file)
    return file


def build_scene_sets(
    scenes: SceneArguments, training: FinderTrainingArguments
) -> dict[str, SceneDataset]:
    """Return the scenes of training and validation, which share no picture."""
    rooms = [
        _shrink(open_picture(file))
        for file in tqdm(_list_rooms(scenes.rooms), desc="rooms", disable=None)
    ]
    mistakes = [open_picture(file).convert("L") for file in _list_rooms(scenes.mistakes)]
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
        parts[split] = SceneDataset(
            groups,
            [one for i, one in enumerate(rooms) if kept(i) and i % 10 != 9],
            num=num_scenes,
            side=scenes.side,
            seed=training.seed if split == "train" else training.seed + 1_000_003,
            mistakes=mistakes if split == "train" else (),
        )
    return parts


def _list_rooms(folder: str | None) -> list[Path]:
    return sorted(list_pictures(Path(folder))) if folder else []


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
    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # safetensors takes no weights in the order of channels-last.
        learner: Any = self.model
        weights = {name: one.contiguous() for name, one in learner.state_dict().items()}
        super()._save(output_dir, weights)
        # A pickle; nothing of ours reads it.
        (Path(output_dir or str(self.args.output_dir)) / "training_args.bin").unlink(
            missing_ok=True
        )


class _Averaging(TrainerCallback):
    """Keeps the moving average of the weights, through checkpoints; it is what is validated."""

    trainer: Trainer

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.weights = AveragedWeights(model, decay)

    @property
    def network(self) -> FinderNetwork:
        learner: Any = self.weights.module
        return learner.network

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        last = get_last_checkpoint(args.output_dir) if state.global_step else None
        if last:
            self.weights.load(last)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.weights.update_parameters(self.trainer.accelerator.unwrap_model(kwargs["model"]))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if args.should_save:
            self.weights.save(Path(args.output_dir) / f"checkpoint-{state.global_step}")
