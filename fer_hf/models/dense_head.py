"""A timm backbone under a dense layer, on its pooled or its flattened feature map.

timm puts the labels right on the pooled features, so this head, known from Keras tutorials, needs
a model class of its own. The file imports nothing of `fer_hf`, because a copy of it travels with
each saved checkpoint.
"""

from typing import Any

import timm
import torch
from timm.layers import select_adaptive_pool2d
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput


class DenseHeadConfig(PreTrainedConfig):
    """Settings of a dense head.

    Attributes:
        architecture: Name of the timm backbone, for example `resnetv2_50`.
        model_args: Further arguments of `timm.create_model`.
        input_size: Side of the square input in pixels.
        dense_size: Width of the dense layer between the features and the logits.
        pooling: `flatten` for none, or `avg`, `max`, `avgmax` as in timm.
        dropout: Share of the dense layer's outputs dropped in training, 0–1.
    """

    model_type = "fer_dense_head"

    def __init__(
        self,
        architecture: str = "resnetv2_50",
        model_args: dict[str, Any] | None = None,
        input_size: int = 128,
        dense_size: int = 256,
        pooling: str = "flatten",
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        self.architecture = architecture
        self.model_args = model_args or {}
        self.input_size = input_size
        self.dense_size = dense_size
        self.pooling = pooling
        self.dropout = dropout
        super().__init__(**kwargs)


class DenseHeadForImageClassification(PreTrainedModel):
    """Backbone, pool or flatten, dense with ReLU, dropout, dense num_labels."""

    config_class = DenseHeadConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False

    def __init__(self, config: DenseHeadConfig) -> None:
        super().__init__(config)
        num_labels: Any = config.num_labels
        # `num_classes=0` leaves timm's own head empty; it is not called here.
        backbone: Any = timm.create_model(config.architecture, num_classes=0, **config.model_args)
        # In eval mode, so that asking for the shape leaves the statistics untouched.
        backbone.eval()
        with torch.no_grad():
            device = next(backbone.parameters()).device
            blank = torch.zeros(1, 3, config.input_size, config.input_size, device=device)
            num_features = self._pool(backbone.forward_features(blank), config).numel()
        self.backbone = backbone.train()
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(num_features, config.dense_size),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.dense_size, num_labels),
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # Only the head: timm has initialised the backbone better than transformers' default would.
        if isinstance(module, nn.Linear):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
            init.zeros_(module.bias)

    def compute_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Turn pictures (N, 3, input_size, input_size) into the input of the dense layer."""
        return self._pool(self.backbone.forward_features(pixel_values), self.config)

    @staticmethod
    def _pool(features: torch.Tensor, config: Any) -> torch.Tensor:
        if config.pooling == "flatten":
            return features
        return select_adaptive_pool2d(features, config.pooling)

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs: Any
    ) -> ImageClassifierOutput:
        """Classify pictures of shape (N, 3, input_size, input_size) into logits (N, num_labels)."""
        logits = self.head(self.compute_features(pixel_values))
        loss = None if labels is None else self.loss_function(labels, logits, self.config)
        return ImageClassifierOutput(loss=loss, logits=logits)


DenseHeadConfig.register_for_auto_class()
DenseHeadForImageClassification.register_for_auto_class("AutoModelForImageClassification")
