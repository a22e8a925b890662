"""The `folders` layout: one folder of pictures for each label, with or without split folders above.

The pictures stay where they are; the data set holds their paths.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_hf.data.labels import name_labels
from fer_hf.data.parts import Part, Source, assign_splits, read_paths
from fer_hf.data.pictures import PICTURE_ENDINGS

logger = logging.getLogger(__name__)


def find_label_folders(folder: Path) -> dict[str, list[Path]]:
    """Map each split to its label folders; without split folders, all of them are `train`.

    Empty if no folder here holds a picture.
    """
    if not folder.is_dir():
        return {}
    inside = _visible_folders(folder)
    by_name = {child.name: child for child in inside}
    splits = {
        split: _visible_folders(by_name[name])
        for split, name in assign_splits(list(by_name)).items()
    }
    if any(_holds_picture(label) for labels in splits.values() for label in labels):
        return splits
    labels = [child for child in inside if _holds_picture(child)]
    return {"train": labels} if labels and not splits else {}


def locate_folders(folder: Path, label_names: Sequence[str] | None) -> Source:
    """Recognise `<split>/<label>/*.jpg` or `<label>/*.jpg`, in any case of letters.

    Label folders may have folders of their own. Hidden files, files with other endings than a
    picture's, and files outside of label folders are left alone.

    Raises:
        ValueError: If no label folder with pictures is there.
    """
    splits = find_label_folders(folder)
    if not splits:
        raise ValueError(
            f"'{folder}' has no folders of pictures, one for each label. Expected "
            "'train/happy/1.jpg' or 'happy/1.jpg'."
        )
    pictures = {
        split: [(label, file) for label in labels for file in list_pictures(label)]
        for split, labels in splits.items()
    }
    for label in (label for labels in splits.values() for label in labels):
        if not _holds_picture(label):
            logger.warning("Label folder '%s' holds no picture and is left out.", label)

    def read() -> dict[str, Part]:
        return {split: _read_part(found, label_names) for split, found in pictures.items()}

    files = [file for found in pictures.values() for _, file in found]
    return Source(files, read, label_names)


def _read_part(pictures: list[tuple[Path, Path]], label_names: Sequence[str] | None) -> Part:
    paths = [str(file) for _, file in pictures]
    return Part(
        name_labels([label.name for label, _ in pictures], label_names, "the label folders"),
        read=lambda rows: read_paths(paths, rows),
        name=lambda row: f"'{paths[row]}'",
    )


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(
        child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")
    )


def _visible_pictures(folder: Path) -> Iterator[Path]:
    return (
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in PICTURE_ENDINGS
        and not any(name.startswith(".") for name in file.relative_to(folder).parts)
    )


def list_pictures(folder: Path) -> list[Path]:
    """List the pictures below a folder by their endings, without hidden files and folders."""
    return sorted(_visible_pictures(folder))


def _holds_picture(folder: Path) -> bool:
    return any(True for _ in _visible_pictures(folder))
