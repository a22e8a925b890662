"""A run as a model on the Hub: which of its files, under which licence, with which card."""

from pathlib import Path
from typing import Unpack

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from fer_hf.data.audit.fingerprints import SEEN_NAME
from fer_hf.evaluation.reports.report_files import REPORT_NAME
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.models.checkpoint_files import check_is_checkpoint
from fer_hf.publishing.hub.commits import Pushed, Target, call_hub, commit_files
from fer_hf.publishing.licensing import Ingredient, derive_license, list_ingredients
from fer_hf.publishing.model_card import CARD_NAME, prepare_card, render_model_card

_NEEDED = ("config.json", "model.safetensors", REPORT_NAME)
PUBLISHED = (
    *_NEEDED,
    *("preprocessor_config.json", "baseline.py", "dense_head.py", CARD_NAME, SEEN_NAME),
    *("curves.png", "confusion_matrix.png", "reliability.png", "model.onnx", "onnx/*.onnx"),
)
"""What of a run is published, and nothing else: no optimizer state, no checkpoint, no pickle."""


def push_model(
    run: Path,
    repo_id: str,
    *,
    license_name: str | None = None,
    data_license: str | None = None,
    **target: Unpack[Target],
) -> Pushed:
    """Publish a run by one commit; its folder stays as it is.

    Args:
        run: Output folder of a finished run.
        repo_id: `namespace/name`.
        license_name: Of the weights; by default what their pictures and backbone allow.
        data_license: Of the pictures, where it is not known.
        **target: As in `Target`.

    Raises:
        FileNotFoundError: It is not a finished run.
        ValueError: A licence is missing or in conflict, or a file holds a token or a path.
        OSError: As `commit_files`.
    """
    files = list_published(run)
    report = load_report(run)
    ingredients = [_look_up(item) for item in list_ingredients(report, data_license)]
    license_name = derive_license(ingredients, license_name)
    path = run / CARD_NAME
    card = path.read_text(encoding="utf-8") if path.is_file() else render_model_card(report)
    card = prepare_card(card, repo_id, license_name, files)
    return commit_files(
        repo_id,
        {**files, CARD_NAME: card.encode()},
        message=f"Upload {report.display_name}",
        replaces=PUBLISHED,
        **target,
    )


def list_published(run: Path) -> dict[str, Path]:
    """List what of a run is published: path in the repository to file.

    Raises:
        FileNotFoundError: It is not a finished run.
        ValueError: A JSON file is damaged.
        OSError: The weights are damaged.
    """
    if missing := [name for name in _NEEDED if not (run / name).is_file()]:
        raise FileNotFoundError(
            f"{str(run)!r} lacks {', '.join(missing)}, expected the output folder of a finished "
            "run. Check the path, or finish the run with --resume."
        )
    check_is_checkpoint(str(run))
    found = [file for pattern in PUBLISHED for file in sorted(run.glob(pattern))]
    return {file.relative_to(run).as_posix(): file for file in found}


def _look_up(ingredient: Ingredient) -> Ingredient:
    """Fill in the licence that the Hub says a data set or a model has."""
    repo_id, kind = ingredient.repo_id, ingredient.kind
    if ingredient.license or repo_id is None:
        return ingredient
    ask = HfApi().dataset_info if kind == "dataset" else HfApi().model_info
    try:
        info = call_hub(lambda: ask(repo_id))
    except OSError as error:
        if isinstance(error.__cause__, RepositoryNotFoundError):
            return ingredient
        raise
    card = info.card_data.to_dict() if info.card_data else {}
    found = card.get("license_name") or card.get("license")
    found = found[0] if isinstance(found, list) else found
    return Ingredient(ingredient.name, kind, repo_id, found)
