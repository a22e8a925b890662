"""Pictures on their way from the split into the network."""

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image
from transformers import ViTImageProcessor

from fer_hf.training.augmentation import Augmentation
from fer_hf.training.face_dataset import FaceDataset, collate

PROCESSOR = ViTImageProcessor(
    size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3, resample=2
)


def test_augmentation_depends_on_seed_epoch_and_row_alone(faces):
    dataset = FaceDataset(faces["train"], PROCESSOR, augmentation=Augmentation(), seed=3)
    batch = dataset.__getitems__([5, 6, 7])["pixel_values"]
    assert torch.equal(dataset.__getitems__([7, 1, 5])["pixel_values"][[2, 0]], batch[[0, 2]])
    assert torch.equal(dataset[6]["pixel_values"], batch[1])
    torch.manual_seed(1)
    np.random.seed(1)
    again = FaceDataset(faces["train"], PROCESSOR, augmentation=Augmentation(), seed=3)
    assert torch.equal(again.__getitems__([5, 6, 7])["pixel_values"], batch)
    other = FaceDataset(faces["train"], PROCESSOR, augmentation=Augmentation(), seed=4)
    assert not torch.equal(other.__getitems__([5, 6, 7])["pixel_values"], batch)


def test_each_epoch_sees_other_pictures_and_an_epoch_can_be_repeated(faces):
    dataset = FaceDataset(faces["train"], PROCESSOR, augmentation=Augmentation())
    first = dataset[0]["pixel_values"]
    dataset.set_epoch(1)
    assert not torch.equal(dataset[0]["pixel_values"], first)
    dataset.set_epoch(0)
    assert torch.equal(dataset[0]["pixel_values"], first)


def test_without_augmentation_pictures_are_what_the_image_processor_makes(faces):
    dataset = FaceDataset(faces["validation"], PROCESSOR)
    expected = PROCESSOR(list(faces["validation"][:4]["image"]), return_tensors="pt")
    batch = dataset.__getitems__([0, 1, 2, 3])
    assert torch.equal(batch["pixel_values"], expected["pixel_values"])
    assert batch["labels"].tolist() == faces["validation"][:4]["label"]
    assert "targets" not in batch
    dataset.set_epoch(7)
    assert torch.equal(dataset.__getitems__([0, 1, 2, 3])["pixel_values"], batch["pixel_values"])


def test_grey_transparent_and_turned_pictures_come_out_as_rgb_of_one_size(tmp_path):
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=["a", "b"])})
    pictures = [
        Image.new("L", (40, 30), 255),
        Image.new("RGBA", (20, 50), (255, 255, 255, 255)),
        Image.new("P", (32, 32)),
    ]
    split = Dataset.from_dict({"image": pictures, "label": [0, 1, 1]}, features=features)
    values = FaceDataset(split, PROCESSOR).__getitems__([0, 1, 2])["pixel_values"]
    assert values.shape == (3, 3, 32, 32)
    assert values[0].unique().tolist() == [1.0]  # (1 − 0.5) / 0.5
    assert values[1].unique().tolist() == [1.0]
    assert values[2].unique().tolist() == [-1.0]


def test_votes_become_targets_that_sum_to_one_where_they_are_wanted():
    features = Features(
        {
            "image": ImageFeature(),
            "label": ClassLabel(names=["a", "b", "c"]),
            "votes": List(Value("float32"), length=3),
        }
    )
    votes = [[8.0, 2.0, 0.0], [5.0, 1.0, 4.0], [1.0, 1.0, 1.0]]
    pictures = [Image.new("RGB", (32, 32))] * 3
    split = Dataset.from_dict({"image": pictures, "label": [0, 0, 2], "votes": votes}, features)
    soft = FaceDataset(split, PROCESSOR, soft_targets=True).__getitems__([1, 0, 2])
    # The single vote of the second picture is taken for a slip; the third has only such votes.
    expected = torch.tensor([[5 / 9, 0, 4 / 9], [0.8, 0.2, 0], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(soft["targets"], expected)
    assert soft["labels"].tolist() == [0, 0, 2]
    assert "targets" not in FaceDataset(split, PROCESSOR, soft_targets=False)[0]


def test_soft_targets_need_votes(faces):
    assert FaceDataset(faces["train"], PROCESSOR, soft_targets=True).targets is None


def test_a_batch_is_fetched_whole(faces):
    dataset = FaceDataset(faces["train"], PROCESSOR)
    assert len(dataset) == len(faces["train"])
    loader = torch.utils.data.DataLoader(dataset, batch_size=5, collate_fn=collate)
    batch = next(iter(loader))
    assert batch["pixel_values"].shape == (5, 3, 32, 32)
    assert batch["labels"].shape == (5,)
    assert dataset[0]["labels"].shape == ()
