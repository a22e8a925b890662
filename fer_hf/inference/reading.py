"""What a classifier says about a face, and how that is worded and coloured wherever it is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from fer_hf.emotions import EMOTIONS

NOT_SURE = "not sure"

SCORE_PREFIX = "score_"
"""Before the names of the labels in the names of columns, so that no label is called `frame`."""

COLORS = ("#d55e00", "#56b4e9", "#009e73", "#cc79a7", "#f0e442", "#bbbbbb", "#0072b2", "#e69f00")
"""One for each of `EMOTIONS`, distinguishable for the colour-blind: those of Okabe and Ito, "Color
Universal Design", 2008, with grey for their black, which a dark label would hide."""

LABEL_INK, LABEL_PAPER = "#ffffff", "#111827"
"""Words and the dark ground they and `COLORS` stand on: a contrast of 17.7:1."""


@dataclass(frozen=True)
class Reading:
    """What a classifier says about one picture or one face; a notebook shows it as bars.

    Attributes:
        scores: Label to score, 0–1, summing to 1; in the order of the checkpoint's labels.
        label: The label to show; None where the model is not sure.
        crowd_scores: Label to the share of people's votes it would get; None where the checkpoint
            was not calibrated on votes.
        prediction_set: Labels that cannot be ruled out, likeliest first; empty where the picture
            is unlike those of validation. None where the checkpoint does not say when it is sure.
    """

    scores: dict[str, float]
    label: str | None
    crowd_scores: dict[str, float] | None = None
    prediction_set: list[str] | None = None

    @property
    def sure(self) -> bool | None:
        """Whether the model is sure; None where the checkpoint does not say."""
        return None if self.prediction_set is None else self.label is not None

    @property
    def top_label(self) -> str:
        """The label with the highest score, whether the model is sure or not."""
        return max(self.scores, key=self.scores.__getitem__)

    @property
    def name(self) -> str:
        """The label to show, or that the model is not sure."""
        return self.label or NOT_SURE

    def _repr_html_(self) -> str:
        return render_bars(self.name, self.crowd_scores or self.scores)


def render_bars(title: str, shares: Mapping[str, float]) -> str:
    """Return a small HTML table with a bar for each label, without scripts or style sheets."""
    rows = "".join(
        f'<tr><th style="text-align: left">{escape(label)}</th><td style="width: 12em"><div style="'
        f'width: {share:.1%}; height: 0.8em; background: {get_label_color(label, list(shares))}">'
        f"</div></td><td>{escape(format_percent(share))}</td></tr>"
        for label, share in shares.items()
    )
    return f"<table><caption>{escape(title)}</caption><tbody>{rows}</tbody></table>"


def format_percent(share: float) -> str:
    """Write a share of 0–1 as a whole per cent that claims neither never nor always."""
    if share <= 0.005:
        return "<1 %"
    return ">99 %" if share >= 0.995 else f"{share:.0%}".replace("%", " %")


def get_label_color(label: str, label_names: Sequence[str]) -> str:
    """Return the colour of a label as `#rrggbb`.

    An emotion has the same colour in every label set; other labels share the remaining ones.

    Raises:
        ValueError: `label` is none of `label_names`.
    """
    if label not in label_names:
        raise ValueError(f"`label` is {label!r}, expected one of {list(label_names)}.")
    colors = dict(zip(EMOTIONS, COLORS, strict=True))
    if label in colors:
        return colors[label]
    left = [color for emotion, color in colors.items() if emotion not in label_names] or COLORS
    others = [name for name in label_names if name not in colors]
    return left[others.index(label) % len(left)]
