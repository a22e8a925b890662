"""The baseline CNN: the small network every other model has to beat.

The file imports nothing of `fer_hf`, because a copy of it travels with each saved checkpoint for
those who open it with `trust_remote_code=True`.
"""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput


class BaselineConfig(PreTrainedConfig):
    """Settings of the baseline CNN: side of the square input in pixels, and dropout."""

    model_type = "fer_baseline"

    def __init__(self, input_size: int = 128, dropout: float = 0.2, **kwargs: Any) -> None:
        self.input_size = input_size
        self.dropout = dropout
        super().__init__(**kwargs)


class AvgMaxPool2d(nn.Module):
    """The mean of average pooling and max pooling over windows that do not overlap."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.average = nn.AvgPool2d(kernel_size)
        self.maximum = nn.MaxPool2d(kernel_size)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Pool (N, C, H, W) to (N, C, H // kernel_size, W // kernel_size)."""
        return 0.5 * (self.average(features) + self.maximum(features))


class BaselineForImageClassification(PreTrainedModel):
    """Conv 64, pool 4, conv 32, pool 2, conv 16, dense 64, dropout, dense num_labels; ReLU between.

    Convolutions are 3×3 and keep the picture's size, so that inputs down to 32 pixels fit.
    """

    config_class = BaselineConfig
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__(config)
        side = config.input_size // 4 // 2
        num_labels: Any = config.num_labels
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=3, padding=1),
            nn.ReLU(),
            AvgMaxPool2d(4),
            nn.Conv2d(64, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            AvgMaxPool2d(2),
            nn.Conv2d(32, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * side * side, 64),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )
        self.classifier = nn.Linear(64, num_labels)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # transformers' own N(0, 0.02) starves a network without normalisation layers. `init` skips
        # what from_pretrained has already filled; plain torch.nn.init would overwrite it.
        if isinstance(module, nn.Conv2d | nn.Linear):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs: object
    ) -> ImageClassifierOutput:
        """Classify pictures of shape (N, 3, input_size, input_size) into logits (N, num_labels)."""
        logits = self.classifier(self.layers(pixel_values))
        loss = None if labels is None else self.loss_function(labels, logits, self.config)
        return ImageClassifierOutput(loss=loss, logits=logits)


# Lets save_pretrained put a copy of this file, and where to find the classes, into the checkpoint.
BaselineConfig.register_for_auto_class()
BaselineForImageClassification.register_for_auto_class("AutoModelForImageClassification")
