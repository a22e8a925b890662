"""When a checkpoint is not sure, as its config keeps it and as everybody who scores applies it.

A room of its own beside `uncertainty`, where it is fitted, because a prediction need not wait for
what fitting imports.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

CONFIG_KEY = "not_sure"
"""Where a checkpoint's `config.json` keeps what `NotSure.to_dict` returns."""


@dataclass(frozen=True)
class NotSure:
    """When a checkpoint is not sure, as its `config.json` keeps it.

    Attributes:
        coverage: Share of pictures that are to be answered, and of sets that are to hold the true
            label, 0–1.
        threshold: Below this top score the model is not sure.
        conformal_threshold: A label with this score or more is in the picture's set.
        crowd_temperature: What softens the scores to the spread of people's votes (see
            `calibration.fit_crowd_temperature`); None where nobody has voted.
    """

    coverage: float
    threshold: float
    conformal_threshold: float
    crowd_temperature: float | None = None

    def to_dict(self) -> dict[str, float]:
        """Return plain data; what is None is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: Any) -> "NotSure":
        """Rebuild from what `to_dict` returned.

        Raises:
            ValueError: It is not that.
        """
        names = [item.name for item in fields(cls)]
        required = set(names) - {"crowd_temperature"}
        if (
            not isinstance(data, dict)
            or not required <= data.keys() <= set(names)
            or not all(isinstance(v, int | float) and math.isfinite(v) for v in data.values())
            or not all(0 <= data[name] <= 1 for name in required)
            or not data.get("crowd_temperature", 1) > 0
        ):
            raise ValueError(
                f"`{CONFIG_KEY}` in the checkpoint's config is {data!r}, expected {names} with "
                "shares from 0 to 1 and a temperature above 0. Take it out, or fit it again with "
                "`fer_hf.fitting.add_not_sure`."
            )
        return cls(**data)


def build_prediction_sets(
    scores: npt.ArrayLike, thresholds: npt.ArrayLike
) -> npt.NDArray[np.bool_]:
    """Say which labels are in the set of each picture.

    A set may be empty: no label is as likely there as true ones usually are.

    Args:
        scores: (N, C), rows sum to 1.
        thresholds: One for all labels, or (C,).

    Returns:
        (N, C), True where a label is in the set.
    """
    return np.asarray(scores) >= np.asarray(thresholds)


def soften_scores(scores: npt.ArrayLike, temperature: float) -> npt.NDArray[np.float64]:
    """Return scores^(1 / temperature), normalised: softmax(logits / temperature) without logits.

    Args:
        scores: (..., C), rows sum to 1.
        temperature: Above 0; above 1 the scores come nearer to each other.
    """
    values = np.asarray(scores, dtype=np.float64)
    # Beside the row's highest score not all others can vanish, however low the temperature.
    powers = (values / values.max(axis=-1, keepdims=True)) ** (1 / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)
