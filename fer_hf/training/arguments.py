"""The settings of data and model: for each its default, help text, flag and key in a recipe.

Only the command line and `training` use these classes; all other packages take plain values.
"""

import difflib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, NoReturn

from datasets import Dataset, DatasetDict
from transformers import HfArgumentParser

from fer_hf.data import load_splits
from fer_hf.data.audit.picture_audit import audit_pictures, count_repeats, drop_duplicates
from fer_hf.data.layout import LoadOptions
from fer_hf.data.recognition import recognise_layout
from fer_hf.data.splits import select_split

logger = logging.getLogger(__name__)


def setting(default: Any, help_text: str, **options: Any) -> Any:
    """Declare a field that is a flag, with its help and further options of `add_argument`."""
    return field(default=default, metadata={"help": help_text, **options})


@dataclass
class DataArguments:
    """Which pictures, and how they are split."""

    _argument_group_name: ClassVar[str] = "data"

    data: str = setting(
        "drawn",
        "Where the pictures are: a folder with one folder per label (inside train/, validation/ "
        "and test/ or not), an .npz file or a folder of .npy files, a CSV, TSV or Parquet table, "
        "fer2013.csv, FER+, a Hub dataset id, or 'drawn' for the faces this project draws itself.",
    )
    layout: str | None = setting(None, "Name of the layout, if it is not recognised automatically.")
    image_column: str | None = setting(None, "Column with the picture or its path.")
    label_column: str | None = setting(None, "Column with the label.")
    label_pattern: str | None = setting(
        None,
        "Where in a picture's path its label is: a regular expression with a group `label`, like "
        "'KA\\.(?P<label>[A-Z]{2})'; a group `split` may say its split.",
    )
    data_label_names: list[str] | None = setting(
        None,
        "Names of labels that are stored as numbers from 0, or the full list of labels; or "
        "CODE=name for each code that stands for a label, such as AN=anger HA=happy. "
        "Short: --label_names.",
    )
    votes_file: str | None = setting(None, "fer2013new.csv, the FER+ votes for a fer2013.csv.")
    vote_rule: Literal["majority", "all"] = setting(
        "majority",
        "FER+: only pictures on which people agree (as in papers), or all that have a vote.",
    )
    data_revision: str | None = setting(None, "Branch, tag or commit of a Hub dataset.")
    num_drawn: int = setting(1200, "How many faces to draw, with --data drawn.")
    drawn_size: int = setting(128, "Side of a drawn face in pixels.")
    split_seed: int = setting(0, "Seed for splits that the source does not have.")
    skip_unreadable: bool = setting(False, "Leave out unreadable pictures instead of stopping.")
    drop_duplicates: bool = setting(
        False,
        "Keep one of several pictures of the same photograph, preferably in test or validation; if "
        "their labels differ, none in train. Takes a minute for 30,000 pictures, once.",
    )
    strict: bool = setting(
        False, "Stop if `fer-hf audit` finds anything wrong with the pictures, or duplicates."
    )
    max_train_samples: int | None = setting(None, "Train on at most this many pictures.")
    max_eval_samples: int | None = setting(None, "Validate and test on at most this many.")

    def find_layout(self) -> str:
        """Return the layout of the source; errors as those of `recognise_layout`."""
        options = LoadOptions(
            votes_file=self.votes_file,
            label_pattern=self.label_pattern,
            image_column=self.image_column,
            label_column=self.label_column,
        )
        return self.layout or recognise_layout(self.data, options)

    def load(self, *, check: bool = True) -> DatasetDict:
        """Load the splits that these settings describe, and warn about pictures in two of them.

        Args:
            check: Whether to look for problems at all.

        Raises:
            ValueError: `strict` is set and something is wrong with the pictures; otherwise as
                `load_splits`.
        """
        splits = self._load()
        if check and self.strict:
            if problems := audit_pictures(splits).list_problems():
                raise ValueError(
                    f"Found in {self.data!r} {', '.join(problems)}, expected none with `strict`. "
                    "See them with `fer-hf audit`, remove duplicates with --drop_duplicates, or "
                    "leave --strict out."
                )
        elif check and (repeats := count_repeats(splits)):
            logger.warning(
                "%s pictures of validation or test are byte for byte in another split as well: "
                "they flatter the figures. See `fer-hf audit %s`, or remove them with "
                "--drop_duplicates.",
                f"{repeats:,}",
                self.data,
            )
        return splits

    def load_split(self, name: str) -> Dataset:
        """Load one split, or with `all` the pictures of all of them; errors as those of `load`."""
        return select_split(self.load(), name)

    def _load(self) -> DatasetDict:
        splits = load_splits(
            self.data,
            layout=self.layout,
            label_pattern=self.label_pattern,
            image_column=self.image_column,
            label_column=self.label_column,
            label_names=self.data_label_names,
            votes_file=self.votes_file,
            vote_rule=self.vote_rule,
            num_drawn=self.num_drawn,
            drawn_size=self.drawn_size,
            revision=self.data_revision,
            skip_unreadable=self.skip_unreadable,
            seed=self.split_seed,
        )
        if self.drop_duplicates:
            splits = drop_duplicates(splits)
        for name in splits:
            limit = self.max_train_samples if name == "train" else self.max_eval_samples
            if limit is not None and limit < len(splits[name]):
                splits[name] = splits[name].shuffle(seed=self.split_seed).take(limit)
        return splits


@dataclass
class ModelArguments:
    """Which network, what it was pretrained on, and which part of it is trained."""

    _argument_group_name: ClassVar[str] = "model"

    model_name_or_path: str = setting(
        "baseline",
        "'baseline', 'resnetv2', 'inception-resnet', 'resnetv2-ferplus' or 'tiny' (the bundled "
        "models), the name of a timm network, a Hub id, or a checkpoint folder.",
    )
    weights: str = setting(
        "auto",
        "'imagenet', 'ferplus' (those of the bundled model), 'none' (random), or a checkpoint of "
        "the same architecture. 'auto' takes the pretrained weights of that name if they can be "
        "reached; otherwise 'resnetv2' starts from the bundled model, others from random weights.",
    )
    model_revision: str | None = setting(None, "Branch, tag or commit of the model on the Hub.")
    input_size: int | None = setting(
        None,
        "Side of the square input in pixels: 32 or more. Default: the checkpoint's own, or 128.",
    )
    pooling: Literal["avg", "max", "avgmax", "flatten"] = setting(
        "avg", "How the feature map becomes a vector; 'flatten' implies a dense head."
    )
    head: Literal["linear", "dense"] = setting(
        "linear", "The logits directly on the features, or with a dense layer in between."
    )
    dense_size: int = setting(256, "Width of the dense layer.")
    dropout: float = setting(0.2, "Share of the head's inputs dropped in training.")
    unfreeze: Literal["none", "last_stage", "all"] = setting(
        "none",
        "Which part of the backbone is trained beside the head: none, the last stage, or all.",
    )
    backbone_lr_scale: float = setting(
        0.1, "Learning rate of the unfrozen backbone as a share of the head's."
    )
    binary_head: Literal["softmax", "sigmoid"] = setting(
        "softmax", "For two labels: two softmax neurons, or a single sigmoid neuron."
    )
    model_args: str | None = setting(
        None, "Arguments of the timm network as JSON, such as '{\"channels\": [32, 64, 128, 256]}'."
    )

    def __post_init__(self) -> None:
        """Refuse `model_args` that are not a JSON object.

        Raises:
            ValueError: They are something else.
        """
        reason = "that is something else"
        try:
            self.timm_args: Any = json.loads(self.model_args or "{}")
        except json.JSONDecodeError as error:
            self.timm_args, reason = None, str(error)
        if not isinstance(self.timm_args, dict):
            raise ValueError(
                f"`model_args` is {self.model_args!r}, expected a JSON object {{…}}: {reason}."
            )


class StrictParser(HfArgumentParser):
    """Transformers' parser with our errors: one line that suggests the nearest right spelling.

    Args:
        classes: The argument classes; each field becomes a flag.
        **kwargs: As for `argparse.ArgumentParser`.
    """

    def __init__(self, classes: Any, **kwargs: Any) -> None:
        super().__init__(classes, allow_abbrev=False, **kwargs)
        self.settings = [item.name for cls in self.dataclass_types for item in fields(cls)]

    def error(self, message: str) -> NoReturn:
        """Refuse in one line; the caller decides how to end.

        Raises:
            ValueError: Always.
        """
        raise ValueError(message)

    def parse_strictly(self, args: Sequence[str]) -> tuple[Any, ...]:
        """Return an object of each class, and last a namespace of the other arguments if any.

        Raises:
            ValueError: A flag that does not exist, or a value that is not valid.
        """
        # Trainer has a setting of that name for the keys of its inputs, which are fixed here;
        # whoever writes it means the names of labels, as in `load_splits`.
        args = [re.sub(r"^--label_names(?==|$)", "--data_label_names", word) for word in args]
        *parsed, unknown = self.parse_args_into_dataclasses(
            args, return_remaining_strings=True, look_for_args_file=False
        )
        if flag := next((word for word in unknown if word.startswith("-")), None):
            key = flag.lstrip("-").split("=")[0].replace("-", "_")
            raise ValueError(f"Unknown flag {flag!r}{suggest(key, self.settings, '--')}")
        if unknown:
            raise ValueError(f"Unknown arguments {unknown!r}. Every setting is a flag: see --help.")
        return tuple(parsed)


def suggest(key: str, known: Sequence[str], prefix: str = "") -> str:
    """Return how an error about `key` ends: the nearest `known` name, or where to look."""
    near = difflib.get_close_matches(key, known, n=1)
    return f". Did you mean `{prefix}{near[0]}`?" if near else ". See --help for all settings."
