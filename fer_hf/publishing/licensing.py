"""What weights are made of, and the licence that follows from it.

The card names it, and nothing is published whose card promises more than the pictures and the
earlier weights allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fer_hf.evaluation.reports.run_report import RunReport

OTHER = "other"
# What each demands that a licence of the result must demand as well. Share-alike licences demand
# themselves, by name. Attribution is not listed: a card names its data and its backbone.
_NON_COMMERCIAL = "non-commercial use"
_RESTRICTIONS = {
    **dict.fromkeys(
        (
            *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "cc0-1.0"),
            *("cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "pddl", "odc-by", "cdla-permissive-2.0"),
        ),
        frozenset[str](),
    ),
    **{
        name: frozenset({f"the same licence {name}"})
        for name in ("cc-by-sa-3.0", "cc-by-sa-4.0", "gpl-3.0", "agpl-3.0", "odbl")
    },
    "cc-by-nc-4.0": frozenset({_NON_COMMERCIAL}),
    "cc-by-nc-sa-4.0": frozenset({_NON_COMMERCIAL, "the same licence cc-by-nc-sa-4.0"}),
}


@dataclass(frozen=True)
class Ingredient:
    """Something that weights were learned from.

    Attributes:
        name: Its name for people.
        kind: What the Hub would call it.
        repo_id: Where it is on the Hub; None if it is not there, or not known.
        license: Its licence, as the Hub spells it, or a name of its own; None if not known.
    """

    name: str
    kind: Literal["dataset", "model"]
    repo_id: str | None
    license: str | None


@dataclass(frozen=True)
class DataFacts:
    """What a card says about well-known data."""

    name: str
    text: str
    license: str


KNOWN_DATA = {
    "ferplus": DataFacts(
        "FER+",
        "FER+: 48×48 grey faces gathered from the web for the ICML 2013 challenge (FER2013), each "
        "with the votes of ten people (Barsoum et al. 2016, arXiv:1608.01041). Validation and test "
        "follow the majority protocol of FER+'s code: votes that nobody shares are dropped, and a "
        "picture counts if one emotion has more than half of the rest. Training uses all pictures "
        "whose largest count is an emotion, with the votes as soft targets.\n\n"
        "Licence: the votes are MIT. The pictures are research data with no clear licence of its "
        "own, so check what that means for your use of these weights before you build on them.",
        "fer2013-research-data",
    ),
    "drawn": DataFacts(
        "drawn faces",
        "Faces drawn by fer_hf itself: cartoons, to try the software with. A model trained on them "
        "knows nothing about real faces.\n\nLicence: Apache-2.0.",
        "apache-2.0",
    ),
}
"""Layout to what is known about its data."""


def list_ingredients(report: RunReport, data_license: str | None = None) -> list[Ingredient]:
    """List what the weights of a run were learned from: its pictures, and the weights before them.

    Args:
        report: Of the run.
        data_license: The licence of its pictures, if the report has none.

    Raises:
        ValueError: `data_license` contradicts what is known about the data.
    """
    license_name = data_license or report.settings.get("data_license")
    pictures = describe_pictures(str(report.settings.get("layout")), report.data, license_name)
    if license_name not in (None, pictures.license):
        raise ValueError(
            f"`data_license` is {license_name!r}, but {pictures.name} is {pictures.license!r}. "
            "Leave it out."
        )
    backbone = _find_backbone(report)
    return [pictures, backbone] if backbone else [pictures]


def describe_pictures(layout: str, data: str, license_name: str | None) -> Ingredient:
    """Return pictures as an ingredient: what is known of their layout wins over what was given."""
    if facts := KNOWN_DATA.get(layout):
        return Ingredient(facts.name, "dataset", None, facts.license)
    return Ingredient(data, "dataset", data if "/" in data else None, license_name)


def derive_license(ingredients: Sequence[Ingredient], wanted: str | None = None) -> str:
    """Derive the licence of weights from those of what they were learned from.

    The result demands whatever an ingredient demands: weights are treated as adapted material of
    their pictures, the cautious reading of the Creative Commons licences (sections 2 and 3).

    Args:
        ingredients: Each with its licence. That of earlier weights may be unknown where `wanted` is
            given, since the user has looked then, or where the pictures have terms of their own.
        wanted: The licence the user wants; checked against the licences known.

    Returns:
        `wanted`, or the most permissive licence possible. Where an ingredient has terms of its own,
        the name of those.

    Raises:
        ValueError: An ingredient's licence is not known, two cannot be reconciled, or `wanted`
            does not demand what an ingredient demands.
    """
    for ingredient in ingredients:
        if ingredient.license is None and ingredient.kind == "dataset":
            raise ValueError(
                f"Found no licence for the pictures of {ingredient.name!r}, expected one: a card "
                "must name it. Give --data_license, such as cc-by-4.0; for your own pictures, any "
                "you choose."
            )
    licenses = {ingredient.name: ingredient.license for ingredient in ingredients}
    described = ", ".join(f"{name}: {text or 'unknown'}" for name, text in licenses.items())
    own_terms = [text for text in licenses.values() if text and text not in _RESTRICTIONS]
    if own_terms:
        if wanted not in (None, OTHER, own_terms[0]):
            raise ValueError(
                f"`license` is {wanted!r}, but what the weights were learned from has terms of its "
                f"own ({described}). Leave --license out: the card then says {own_terms[0]!r}."
            )
        return own_terms[0]
    for ingredient in ingredients:
        if ingredient.license is None and wanted is None:
            raise ValueError(
                f"The licence of {ingredient.name!r}, which training started from, is not known. "
                f"Give --license, one that it allows, or {OTHER}."
            )
    needed = frozenset[str]().union(*(_RESTRICTIONS[text] for text in licenses.values() if text))
    fitting = [name for name, restrictions in _RESTRICTIONS.items() if needed <= restrictions]
    if not fitting:
        raise ValueError(
            f"No licence satisfies all of these ({described}): they demand "
            f"{', '.join(sorted(needed))}. Train without one of them."
        )
    if wanted is None:
        return fitting[0]
    if wanted in _RESTRICTIONS and wanted not in fitting:
        lacking = ", ".join(sorted(needed - _RESTRICTIONS[wanted]))
        raise ValueError(
            f"`license` is {wanted!r}, which does not demand {lacking} "
            f"({described}). Leave --license out for {fitting[0]!r}, or choose one of {fitting}."
        )
    return wanted


def describe_license(name: str) -> tuple[str, str | None]:
    """Return a licence as metadata has it: `license`, and `license_name` where that is `other`."""
    return (name, None) if name in _RESTRICTIONS else (OTHER, name)


def _find_backbone(report: RunReport) -> Ingredient | None:
    """Find the weights a run started from, and what is known about their licence."""
    pretrained_on, name = report.pretrained_on, report.model_name_or_path
    if pretrained_on == "none":
        return None
    if pretrained_on == "FER+":
        return Ingredient("the bundled model", "model", None, KNOWN_DATA["ferplus"].license)
    weights = str(report.settings.get("weights", "auto"))
    if pretrained_on != "ImageNet":
        source = weights if weights not in ("auto", "none") else name
        if not source.startswith("timm/"):
            return Ingredient(source, "model", source if "/" in source else None, None)
        name = source
    # timm knows the licence of each of its weights. Importing it takes seconds, but where a run was
    # trained that has been done.
    import timm

    from fer_hf.models.weights import ALIASES

    pretrained = timm.get_pretrained_cfg(
        ALIASES.get(name, name).removeprefix("timm/"), allow_unregistered=True
    )
    repo_id = getattr(pretrained, "hf_hub_id", None)
    return Ingredient(repo_id or name, "model", repo_id, getattr(pretrained, "license", None))
