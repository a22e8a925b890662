"""From recipes and flags to the settings of runs: flags override, unknown names are refused."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from fer_hf.training.arguments import DataArguments, ModelArguments, StrictParser, suggest
from fer_hf.training.training_arguments import FerTrainingArguments

# What runs without any flag: three models on the drawn faces, in a few minutes on two cores.
DRAWN_RECIPES = ("drawn-baseline", "drawn-resnetv2", "drawn-inception-resnet")
# What runs on your own pictures: the same three families at full size.
DEFAULT_RECIPES = ("baseline", "resnetv2", "inception-resnet")
_RECIPES = resources.files("fer_hf") / "recipes"


@dataclass(frozen=True)
class RunArguments:
    """The settings of one run, and its name in a comparison."""

    name: str
    data: DataArguments
    model: ModelArguments
    training: FerTrainingArguments


def parse_runs(args: Sequence[str]) -> list[RunArguments]:
    """Read recipes and flags into the settings of one or more runs; flags override recipes.

    Args:
        args: The command line without the program's name.

    Raises:
        ValueError: An unknown flag or key, or a value that is not valid.
        FileNotFoundError: A recipe that does not exist.
    """
    parser = build_parser()
    parser.set_defaults(model_name_or_path=None)
    given, _ = parser.parse_known_args(list(args))
    if not given.config and given.model_name_or_path:
        return [_parse_run(args, given.model_name_or_path, {})]
    recipes = given.config or (DRAWN_RECIPES if given.data == "drawn" else DEFAULT_RECIPES)
    return [_parse_run(args, Path(recipe).stem, load_recipe(recipe)) for recipe in recipes]


def build_parser() -> StrictParser:
    """Build the parser of `train.py`: one flag for each field of the three argument classes."""
    parser = StrictParser(
        (DataArguments, ModelArguments, FerTrainingArguments),
        prog="train.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=_DESCRIPTION,
    )
    parser.add_argument(
        "--config",
        nargs="+",
        metavar="RECIPE",
        help=f"YAML file with settings, or the name of one that comes with the package: "
        f"{', '.join(list_recipes())}. Several are run one after the other and compared.",
    )
    return parser


_DESCRIPTION = """\
Fine-tune facial-expression classifiers, and say honestly how good they are.

  accelerate launch train.py                               three models on drawn faces, compared
  accelerate launch train.py --data my_faces               the same three on your own pictures
  accelerate launch train.py --data my_faces --config resnetv2 --unfreeze last_stage
  accelerate launch train.py --output_dir runs/my_faces/resnetv2 --data my_faces \\
                             --config resnetv2 --resume    go on with an interrupted run

Flags override the recipes of --config. The models and their figures end up in output_dir.
"""


def list_recipes() -> list[str]:
    """List the names of the recipes that come with the package."""
    return sorted(Path(item.name).stem for item in _RECIPES.iterdir())


def load_recipe(name_or_path: str) -> dict[str, Any]:
    """Read a recipe: a YAML file, or the name of one that comes with the package.

    Raises:
        FileNotFoundError: There is no such recipe.
        ValueError: It is not a mapping of settings.
    """
    path: Any = Path(name_or_path)
    if not path.is_file():
        path = _RECIPES / f"{name_or_path}.yaml"
    if not path.is_file():
        raise FileNotFoundError(
            f"Recipe {name_or_path!r} is neither a file nor one of {list_recipes()}. Give the path "
            "of a YAML file or one of these names."
        )
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"Recipe {name_or_path!r} is not YAML: {error}") from error
    if not isinstance(recipe, dict):
        raise ValueError(f"Recipe {name_or_path!r} holds {recipe!r}, expected lines `key: value`.")
    return recipe


def _parse_run(args: Sequence[str], name: str, recipe: dict[str, Any]) -> RunArguments:
    parser = build_parser()
    flags: list[str] = []
    for key, value in recipe.items():
        if key not in parser.settings:
            raise ValueError(
                f"Recipe {name!r} has the unknown key {key!r}{suggest(key, parser.settings)}"
            )
        if isinstance(value, list):
            flags += [f"--{key}", *map(str, value)]
        elif value is not None:
            # As a flag, so that it is converted and checked like one (1e-3 is text in YAML).
            flags.append(f"--{key}={json.dumps(value) if isinstance(value, dict) else value}")
    data, model, training, _ = parser.parse_strictly([*flags, *args])
    return RunArguments(name=name, data=data, model=model, training=training)
