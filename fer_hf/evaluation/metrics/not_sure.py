"""When a checkpoint is not sure, as its config keeps it and as everybody who scores applies it.

It is fitted in `thresholds`; here numpy is enough, so that a prediction need not wait for more.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

CONFIG_KEY = "not_sure"
"""Where a checkpoint's `config.json` keeps what `NotSure.to_dict` returns."""


@dataclass(frozen=True)
class NotSure:
    """When a checkpoint is not sure, as its `config.json` keeps it.

    Attributes:
        coverage: Target share of pictures to answer, and of sets that hold the true label, 0–1.
        threshold: Below this top score the model is not sure.
        conformal_threshold: A label with this score or more is in the picture's set; of the sets
            of all labels together, `coverage` hold the true one.
        conformal_thresholds: One for each label, so that `coverage` holds for its pictures by
            themselves; None for a label with too few of them, which has the one above. None in all
            where no label has enough, and in a checkpoint from before they were kept.
        crowd_temperature: Softens the scores to the spread of people's votes, together with
            `crowd_offsets` (see `calibration.fit_crowd`); None where nobody has voted.
        crowd_offsets: One for each label; None leaves them out.
    """

    coverage: float
    threshold: float
    conformal_threshold: float
    crowd_temperature: float | None = None
    crowd_offsets: list[float] | None = None
    conformal_thresholds: list[float | None] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; what is None is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: Any, num_labels: int) -> "NotSure":
        """Rebuild from what `to_dict` returned, for a checkpoint with `num_labels` labels.

        Raises:
            ValueError: It is something else.
        """
        try:
            not_sure = cls(**data)
            shares = [not_sure.coverage, not_sure.threshold, not_sure.conformal_threshold]
            each = not_sure.conformal_thresholds
            shares += [share for share in each or () if share is not None]
            if not all(0 <= share <= 1 for share in shares):
                raise ValueError("a share is below 0 or above 1")
            if each is not None and len(each) != num_labels:
                raise ValueError(f"there are not {num_labels} thresholds")
            temperature, offsets = not_sure.crowd_temperature, not_sure.crowd_offsets
            if temperature is not None and not 0 < temperature < math.inf:
                raise ValueError("the temperature is not above 0")
            if offsets is not None and [*map(math.isfinite, offsets)] != [True] * num_labels:
                raise ValueError(f"there are not {num_labels} offsets")
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`{CONFIG_KEY}` in the checkpoint's config is {data!r} ({error}), expected "
                f"{[item.name for item in fields(cls)]}. Take it out, or fit it again with "
                "`fer_hf.training.frozen.fitting.add_not_sure`."
            ) from error
        return not_sure

    def build_prediction_sets(self, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which labels are in the set of each picture; scores and sets (..., C)."""
        pooled = self.conformal_threshold
        each = [pooled if own is None else own for own in self.conformal_thresholds or [pooled]]
        return build_prediction_sets(scores, each)


def keep_not_sure(config: "PreTrainedConfig", not_sure: NotSure | None) -> None:
    """Store in a model's config when it is not sure; None removes what another head had stored."""
    vars(config).pop(CONFIG_KEY, None)
    if not_sure is not None:
        setattr(config, CONFIG_KEY, not_sure.to_dict())


def build_prediction_sets(
    scores: npt.ArrayLike, thresholds: npt.ArrayLike
) -> npt.NDArray[np.bool_]:
    """Return which labels are in the prediction set of each picture, (N, C).

    A set may be empty: no label is as likely there as true ones usually are.

    Args:
        scores: (N, C), rows sum to 1.
        thresholds: One for all labels, or (C,).
    """
    return np.asarray(scores) >= np.asarray(thresholds)


def soften_scores(
    scores: npt.ArrayLike, temperature: float, offsets: npt.ArrayLike = 0.0
) -> npt.NDArray[np.float64]:
    """Return softmax((log(scores) + offsets) / temperature): that of their logits without these.

    Args:
        scores: (..., C), rows sum to 1.
        temperature: Above 0; above 1 the scores come nearer to each other.
        offsets: One for all labels, or (C,).
    """
    values = np.asarray(scores, dtype=np.float64) * np.exp(offsets)
    # Divided by the row's highest score, which stays 1 however low the temperature.
    powers = (values / values.max(axis=-1, keepdims=True)) ** (1 / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)
