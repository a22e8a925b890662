"""The Trainer: what stays frozen, what is minimised, what is averaged, what is saved."""

import math
import os
import signal

import pytest
import torch
from transformers import TrainerCallback

from fer_hf.models import freeze_backbone, get_backbone, get_head_parameters, load_model
from fer_hf.training.augmentation import Augmentation
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.losses.cross_entropy import compute_cross_entropy
from fer_hf.training.targets import weigh_targets
from fer_hf.training.trainer import FerTrainer
from fer_hf.training.training_arguments import FerTrainingArguments

SLIM = {"channels": [16, 16, 32, 32]}


@pytest.fixture
def build(faces, tmp_path):
    """Build a trainer of a small network on the drawn faces, four steps an epoch."""

    def build(name="test_resnet", *, unfreeze="none", model=None, trainer=None, **training):
        torch.manual_seed(0)
        names = faces["train"].features["label"].names
        loaded = load_model(name, names, weights="none", input_size=32, **(model or {}))
        freeze_backbone(loaded.model, unfreeze)
        settings = {
            "num_train_epochs": 1,
            "per_device_train_batch_size": 16,
            "dataloader_num_workers": 0,
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
            "disable_tqdm": True,
            "learning_rate": 1e-2,
            **training,
        }
        processor = loaded.image_processor
        return FerTrainer(
            model=loaded.model,
            args=FerTrainingArguments(output_dir=str(tmp_path / "run"), **settings),
            train_dataset=FaceDataset(faces["train"], processor, augmentation=Augmentation()),
            eval_dataset=FaceDataset(faces["validation"], processor),
            **(trainer or {}),
        )

    return build


def copy_state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def list_changes(model, before):
    return {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }


def give_fixed_logits(model, logits):
    """Make a model answer the same logits to every picture."""
    classifier = get_backbone(model).get_classifier()
    with torch.no_grad():
        classifier.weight.zero_()
        classifier.bias.copy_(torch.tensor(logits))


class Watch(TrainerCallback):
    """Keep the weights after each step."""

    def __init__(self):
        self.states = []

    def on_step_end(self, args, state, control, model=None, **kwargs):  # noqa: D102
        self.states.append(copy_state(model))


# Frozen means frozen


@pytest.mark.parametrize(
    ("name", "head", "stage"),
    [
        ("test_resnet", "timm_model.fc.", ("timm_model.layer4.",)),
        ("resnetv2_18", "timm_model.head.fc.", ("timm_model.stages.3.", "timm_model.norm.")),
    ],
)
def test_frozen_parameters_and_batchnorm_statistics_keep_their_bits(build, name, head, stage):
    settings = {"model": {"model_args": SLIM}} if name == "resnetv2_18" else {}
    trainer = build(name, **settings)
    before = copy_state(trainer.model)
    trainer.train()
    assert list_changes(trainer.model, before) == {f"{head}weight", f"{head}bias"}

    trainer = build(name, unfreeze="last_stage", **settings)
    before = copy_state(trainer.model)
    trainer.train()
    below = {key for key in before if key.startswith((head, *stage))}
    assert list_changes(trainer.model, before) == below
    assert any(key.endswith("running_mean") for key in below)


def test_without_freezing_everything_changes(build):
    trainer = build(unfreeze="all")
    before = copy_state(trainer.model)
    trainer.train()
    assert list_changes(trainer.model, before) == set(before)


def test_of_the_dense_head_only_the_head_changes(build):
    trainer = build(model={"pooling": "flatten", "dense_size": 8})
    before = copy_state(trainer.model)
    trainer.train()
    assert list_changes(trainer.model, before) == {
        f"head.{layer}.{kind}" for layer in (1, 4) for kind in ("weight", "bias")
    }


def test_the_backbone_learns_more_slowly_than_the_head(build):
    trainer = build(unfreeze="all", weight_decay=0.25, trainer={"backbone_lr_scale": 0.1})
    groups = trainer.create_optimizer().param_groups
    rates = {
        id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]
    }
    head = {id(parameter) for parameter in get_head_parameters(trainer.model)}
    assert len(rates) == sum(len(group["params"]) for group in groups)
    for name, parameter in trainer.model.named_parameters():
        rate, decay = rates.pop(id(parameter))
        assert rate == pytest.approx(1e-2 if id(parameter) in head else 1e-3)
        assert decay == (0.0 if name.endswith("bias") else 0.25) or parameter.ndim == 1
    assert not rates


def test_frozen_parameters_are_not_in_the_optimizer(build):
    groups = build().create_optimizer().param_groups
    assert sum(p.numel() for group in groups for p in group["params"]) == sum(
        p.numel() for p in get_head_parameters(build().model)
    )


# What is minimised


def make_batch(labels, targets=None):
    batch = {"pixel_values": torch.randn(len(labels), 3, 32, 32), "labels": torch.tensor(labels)}
    if targets is not None:
        batch["targets"] = torch.tensor(targets)
    return batch


def test_the_training_loss_weighs_labels_and_smooths_and_evaluation_does_neither(build):
    weights = [3.0, 0.5, 1, 1, 1, 1, 1, 1]
    trainer = build(trainer={"label_weights": weights}, label_smoothing_factor=0.1)
    logits = [2.0, 1.0, 0, 0, 0, 0, 0, 0]
    give_fixed_logits(trainer.model, logits)
    labels = [0, 1, 1]
    rows = torch.tensor([logits] * 3)
    trainer.model.train()
    targets = torch.nn.functional.one_hot(torch.tensor(labels), 8).float()
    expected = (
        compute_cross_entropy(rows, weigh_targets(targets, torch.tensor(weights), 0.1))
        .mean()
        .item()
    )
    loss = trainer.compute_loss(trainer.model, make_batch(labels))
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    trainer.model.eval()
    log_sum = math.log(math.e**2 + math.e + 6)
    plain = ((log_sum - 2) + 2 * (log_sum - 1)) / 3
    loss = trainer.compute_loss(trainer.model, make_batch(labels))
    assert loss.item() == pytest.approx(plain, abs=1e-5)


def test_votes_are_what_is_learned_and_labels_what_is_scored(build):
    trainer = build()
    logits = [1.0, 0, 0, 0, 0, 0, 0, 0]
    give_fixed_logits(trainer.model, logits)
    targets = [[0.25, 0.75, 0, 0, 0, 0, 0, 0]]
    trainer.model.train()
    log_sum = math.log(math.e + 7)
    loss = trainer.compute_loss(trainer.model, make_batch([1], targets))
    assert loss.item() == pytest.approx(log_sum - 0.25, abs=1e-5)
    trainer.model.eval()
    loss = trainer.compute_loss(trainer.model, make_batch([1], targets))
    assert loss.item() == pytest.approx(log_sum, abs=1e-5)


def test_one_sigmoid_neuron_is_trained_with_binary_cross_entropy(faces, tmp_path):
    loaded = load_model("test_resnet", ["calm", "angry"], weights="none", sigmoid=True)
    give_fixed_logits(loaded.model, [math.log(3)])  # a score of 3/4 for angry
    args = FerTrainingArguments(
        output_dir=str(tmp_path),
        eval_strategy="no",
        save_strategy="no",
        load_best_model_at_end=False,
    )
    trainer = FerTrainer(model=loaded.model, args=args)
    for mode in (True, False):
        loaded.model.train(mode)
        loss = trainer.compute_loss(loaded.model, make_batch([1, 0]))
        assert loss.item() == pytest.approx((-math.log(0.75) - math.log(0.25)) / 2, abs=1e-5)
    _, outputs = trainer.compute_loss(loaded.model, make_batch([1]), return_outputs=True)
    assert outputs["logits"].softmax(1)[0].tolist() == pytest.approx([0.25, 0.75])


def test_mixup_changes_training_and_not_evaluation(build):
    trainer = build("baseline", mixup=0.5, model={"dropout": 0.0})
    batch = make_batch([0, 1, 2, 3])
    trainer.model.train()
    losses = {trainer.compute_loss(trainer.model, batch).item() for _ in range(3)}
    assert len(losses) == 3
    trainer.model.eval()
    losses = {trainer.compute_loss(trainer.model, batch).item() for _ in range(3)}
    assert len(losses) == 1


def test_mixup_is_turned_off_after_its_last_epoch(build):
    trainer = build("baseline", mixup=0.5, mixup_off_epoch=2, model={"dropout": 0.0})
    batch = make_batch([0, 1, 2, 3])
    trainer.model.train()
    for epoch, num_losses in ((1.9, 3), (2.0, 1)):
        trainer.state.epoch = epoch
        losses = {trainer.compute_loss(trainer.model, batch).item() for _ in range(3)}
        assert len(losses) == num_losses


def test_loss_and_accuracy_of_the_training_batches_are_logged(build, faces):
    trainer = build(learning_rate=0.0, num_train_epochs=2, warmup_steps=0)
    give_fixed_logits(trainer.model, [1.0, 0, 0, 0, 0, 0, 0, 0])
    trainer.train()
    share = faces["train"]["label"][:].count(0) / len(faces["train"])
    rows = [row for row in trainer.state.log_history if "loss" in row]
    assert len(rows) == 2
    for row in rows:
        assert row["accuracy"] == pytest.approx(share)
        assert row["loss"] == pytest.approx(math.log(math.e + 7) - share, abs=1e-3)


def test_accumulated_gradients_are_those_of_one_large_batch(build, faces):
    states = []
    for size, steps in ((32, 1), (8, 4)):
        trainer = build(
            "baseline",
            model={"dropout": 0.0},
            per_device_train_batch_size=size,
            gradient_accumulation_steps=steps,
            max_steps=1,
        )
        trainer.train()
        states.append(copy_state(trainer.model))
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], atol=1e-4, rtol=1e-3)


# The average of the weights


def test_the_averaged_weights_are_those_computed_by_hand(build):
    watch = Watch()
    trainer = build("baseline", ema_decay=0.2, trainer={"callbacks": [watch]}, max_steps=3)
    trainer.train()
    # The first is taken as it is; then the decay is the smaller of 0.2 and (1 + n)/(10 + n).
    first, second, third = watch.states
    for name, tensor in trainer.model.state_dict().items():
        average = first[name] * 2 / 11 + second[name] * 9 / 11
        average = average * 0.2 + third[name] * 0.8
        torch.testing.assert_close(tensor, average, atol=1e-6, rtol=1e-5)


def test_the_averaged_weights_are_what_is_evaluated(build):
    trainer = build(ema_decay=0.9)
    give_fixed_logits(trainer.model, [0.0] * 8)
    give_fixed_logits(trainer.averaged.module, [5.0] + [0.0] * 7)
    before = copy_state(trainer.model)
    figures = trainer.evaluate()
    share = trainer.eval_dataset.labels.eq(0).float().mean().item()
    expected = math.log(math.e**5 + 7) - 5 * share
    assert figures["eval_loss"] == pytest.approx(expected, abs=1e-4)
    assert not list_changes(trainer.model, before)


# What is saved


def test_checkpoints_hold_no_pickle_of_the_arguments(build, tmp_path):
    trainer = build("baseline", save_strategy="epoch", ema_decay=0.5)
    trainer.train()
    trainer.save_model()
    files = {path.name for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert {"model.safetensors", "ema.safetensors", "trainer_state.json"} <= files
    assert "training_args.bin" not in files


def test_a_signal_saves_a_checkpoint_at_once_and_stops(build, tmp_path):
    class Signal(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    trainer = build("baseline", trainer={"callbacks": [Signal()]})
    handler = signal.getsignal(signal.SIGTERM)
    trainer.train()
    assert trainer.stop_on_signal.stopped
    assert trainer.state.global_step == 2
    assert (tmp_path / "run" / "checkpoint-2" / "trainer_state.json").is_file()
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.parametrize(("asked", "raised"), [(True, KeyboardInterrupt), (False, RuntimeError)])
def test_a_helper_that_a_signal_has_killed_does_not_hide_the_signal(
    build, monkeypatch, asked, raised
):
    def fail(*args):  # as torch does wherever the main process is
        if asked:
            os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")

    trainer = build("baseline", save_strategy="epoch")
    monkeypatch.setattr(trainer, "_save_rng_state", fail)
    with pytest.raises(raised):
        trainer.train()


# Teachers


def compute_training_loss(trainer, faces, weight):
    batch = trainer.train_dataset.__getitems__(list(range(8)))
    trainer.args.teacher_weight = weight
    trainer.model.eval()  # no dropout, so that the same logits come out twice
    trainer.model.training = True
    return trainer.compute_loss(trainer.model, batch).item(), batch


def test_teachers_share_the_targets_by_their_weight_and_stay_as_they_are(build, faces):
    names = faces["train"].features["label"].names
    teachers = [load_model("test_resnet", names, weights="none", input_size=32) for _ in range(2)]
    for teacher, raised in zip(teachers, (0, 3), strict=True):
        give_fixed_logits(teacher.model, [4.0 if n == raised else 0.0 for n in range(len(names))])
    trainer = build(trainer={"teachers": [teacher.model for teacher in teachers]})
    labels_alone, batch = compute_training_loss(trainer, faces, 0.0)
    half, _ = compute_training_loss(trainer, faces, 0.5)
    teachers_alone, _ = compute_training_loss(trainer, faces, 1.0)
    assert half == pytest.approx((labels_alone + teachers_alone) / 2, rel=1e-5)

    logits = trainer.model(pixel_values=batch["pixel_values"]).logits
    scores = [torch.eye(len(names))[n].mul(4).softmax(0) for n in (0, 3)]
    targets = torch.stack(scores).mean(0).expand(8, -1)
    assert teachers_alone == pytest.approx(
        compute_cross_entropy(logits, targets).mean().item(), rel=1e-5
    )
    before = copy_state(teachers[0].model)
    trainer.train()
    assert not list_changes(teachers[0].model, before)
