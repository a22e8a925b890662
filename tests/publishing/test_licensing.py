"""The licence of weights follows from their pictures and from the weights before them."""

from dataclasses import dataclass, field

import pytest

from fer_hf.publishing.licensing import (
    Ingredient,
    derive_license,
    describe_license,
    list_ingredients,
)


@dataclass
class Report:
    """What is asked of a run's report."""

    data: str = "my_faces"
    model_name_or_path: str = "resnetv2"
    pretrained_on: str = "none"
    settings: dict = field(default_factory=lambda: {"layout": "folders"})


def mix(*licenses):
    return [Ingredient(f"data {n}", "dataset", None, text) for n, text in enumerate(licenses)]


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        (["mit"], "apache-2.0"),
        (["cc-by-4.0", "apache-2.0"], "apache-2.0"),
        (["cc-by-nc-4.0"], "cc-by-nc-4.0"),
        (["apache-2.0", "cc-by-nc-4.0"], "cc-by-nc-4.0"),
        (["cc-by-sa-4.0", "mit"], "cc-by-sa-4.0"),
        (["cc-by-nc-sa-4.0", "cc-by-nc-4.0"], "cc-by-nc-sa-4.0"),
        (["fer2013-research-data", "apache-2.0"], "fer2013-research-data"),
        (["cc-by-nd-4.0"], "cc-by-nd-4.0"),
    ],
)
def test_the_default_is_the_most_permissive_licence_there_may_be(licenses, expected):
    assert derive_license(mix(*licenses)) == expected


@pytest.mark.parametrize(
    ("licenses", "wanted"),
    [
        (["mit"], "cc-by-nc-4.0"),
        (["mit"], "my-terms"),
        (["cc-by-nc-4.0"], "cc-by-nc-sa-4.0"),
        (["cc-by-nc-4.0"], "my-terms"),
    ],
)
def test_a_licence_that_asks_for_more_may_be_chosen(licenses, wanted):
    assert derive_license(mix(*licenses), wanted) == wanted


@pytest.mark.parametrize(
    ("licenses", "wanted", "words"),
    [
        (["cc-by-nc-4.0"], "apache-2.0", r"non-commercial use .*choose one of \['cc-by-nc-4.0', "),
        (["cc-by-sa-4.0"], "mit", "the same licence cc-by-sa-4.0"),
        (["fer2013-research-data"], "mit", "card then says 'fer2013-research-data'"),
        (["cc-by-sa-4.0", "cc-by-nc-4.0"], None, "No licence satisfies all of these"),
        (["cc-by-sa-4.0", "gpl-3.0"], "mit", "Train without one of them"),
        ([None], "mit", "Found no licence for the pictures of 'data 0'.*--data_license"),
    ],
)
def test_a_conflict_is_refused_with_what_to_do(licenses, wanted, words):
    with pytest.raises(ValueError, match=words):
        derive_license(mix(*licenses), wanted)


def test_an_unknown_backbone_needs_the_users_word():
    backbone = Ingredient("net", "model", None, None)
    with pytest.raises(ValueError, match=r"The licence of 'net'.* Give --license"):
        derive_license([*mix("mit"), backbone])
    assert derive_license([*mix("mit"), backbone], "mit") == "mit"
    assert derive_license([*mix("my-terms"), backbone]) == "my-terms"
    with pytest.raises(ValueError, match="non-commercial use"):
        derive_license([*mix("cc-by-nc-4.0"), backbone], "mit")


def test_what_the_hub_does_not_list_is_other_with_a_name():
    assert describe_license("mit") == ("mit", None)
    assert describe_license("fer2013-research-data") == ("other", "fer2013-research-data")


def test_pictures_are_known_by_their_layout_by_what_was_told_or_by_their_repository():
    (drawn,) = list_ingredients(Report("drawn", settings={"layout": "drawn"}))
    assert (drawn.name, drawn.repo_id, drawn.license) == ("drawn faces", None, "apache-2.0")
    (mine,) = list_ingredients(Report())
    assert (mine.repo_id, mine.license) == (None, None)
    (told,) = list_ingredients(Report(settings={"data_license": "mit"}))
    assert told.license == "mit"
    assert list_ingredients(Report(), "cc0-1.0")[0].license == "cc0-1.0"
    (published,) = list_ingredients(Report("you/faces"))
    assert (published.repo_id, published.license) == ("you/faces", None)
    with pytest.raises(ValueError, match=r"FER\+ is 'fer2013-research-data'. Leave it out"):
        list_ingredients(Report(settings={"layout": "ferplus"}), "mit")


@pytest.mark.parametrize(
    ("name", "pretrained_on", "weights", "repo_id", "license_name"),
    [
        ("resnetv2", "ImageNet", "imagenet", "timm/resnetv2_50.a1h_in1k", "apache-2.0"),
        ("test_resnet", "ImageNet", "auto", "timm/test_resnet.r160_in1k", "apache-2.0"),
        (
            *("convnextv2_atto", "convnextv2_atto.fcmae", "timm/convnextv2_atto.fcmae"),
            *("timm/convnextv2_atto.fcmae", "cc-by-nc-4.0"),
        ),
        ("resnetv2", "FER+", "auto", None, "fer2013-research-data"),
        ("you/fer", "you/fer", "auto", "you/fer", None),
        ("resnetv2_18", "fer", "you/fer", "you/fer", None),
        ("resnetv2_18", "my-run", "my-run", None, None),
    ],
)
def test_a_backbone_is_found_with_what_is_known_of_its_licence(
    name, pretrained_on, weights, repo_id, license_name
):
    report = Report("drawn", name, pretrained_on, {"layout": "drawn", "weights": weights})
    _, backbone = list_ingredients(report)
    assert (backbone.repo_id, backbone.license) == (repo_id, license_name)
