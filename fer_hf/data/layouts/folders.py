"""The `folders` layout: one folder of pictures for each label, with or without split folders above.

The pictures stay where they are; the data set stores their paths.
"""

import logging
from pathlib import Path

from fer_hf.data.layout import Layout, LoadOptions, Source, source_of_files
from fer_hf.data.pictures import list_pictures, walk_pictures
from fer_hf.data.splits import assign_splits

logger = logging.getLogger(__name__)


def _find_label_folders(folder: Path) -> dict[str, list[Path]]:
    """Map each split to its label folders; without split folders, all of them are `train`.

    Empty if no folder here holds a picture.
    """
    inside = _visible_folders(folder) if folder.is_dir() else []
    by_name = {child.name: child for child in inside}
    splits = {
        split: _visible_folders(by_name[name])
        for split, name in assign_splits(list(by_name)).items()
    }
    if any(_holds_picture(label) for labels in splits.values() for label in labels):
        return splits
    labels = [child for child in inside if _holds_picture(child)]
    return {"train": labels} if labels and not splits else {}


def _locate(folder: Path, options: LoadOptions) -> Source:
    """Find the pictures of `<split>/<label>/*.jpg` or `<label>/*.jpg`, in any case of letters.

    Label folders may have folders of their own. Hidden files, files with other endings than a
    picture's, and files outside of label folders are ignored.
    """
    splits = _find_label_folders(folder)
    if not splits:
        raise ValueError(
            f"'{folder}' has no folders of pictures, one for each label. Expected "
            "'train/happy/1.jpg' or 'happy/1.jpg'."
        )
    pictures: dict[str, list[tuple[str, Path]]] = {split: [] for split in splits}
    for split, labels in splits.items():
        for label in labels:
            files = list_pictures(label)
            pictures[split] += [(label.name, file) for file in files]
            if not files:
                logger.warning("Label folder '%s' has no pictures and is left out.", label)
    return source_of_files(pictures, "the names of the label folders")


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(
        child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")
    )


def _holds_picture(folder: Path) -> bool:
    return next(walk_pictures(folder), None) is not None


FOLDERS = Layout(
    "folders",
    "train/happy/1.jpg, or happy/1.jpg: one folder for each label",
    recognise=lambda path, options: bool(_find_label_folders(path)),
    locate=_locate,
)
