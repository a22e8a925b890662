"""Where weights come from: a name, a folder, the Hub, or nowhere."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import timm
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled
from safetensors import SafetensorError
from transformers import AutoConfig, PreTrainedModel, TimmWrapperConfig

from fer_hf.models.bundled import BUNDLED_FOLDERS, DEFAULT_MODEL
from fer_hf.models.checkpoint_files import CONFIG_FILE, PROCESSOR_FILE, check_is_checkpoint

logger = logging.getLogger(__name__)

ALIASES = {
    "resnetv2": "timm/resnetv2_50.a1h_in1k",
    "inception-resnet": "timm/inception_resnet_v2.tf_in1k",
}
_CONNECT_SECONDS = 5.0


def resolve_source(
    model_name_or_path: str, revision: str | None, setting: str = "model_name_or_path"
) -> tuple[str, str | None]:
    """Return where the weights are by default, and the timm architecture (None: not timm)."""
    source = {**ALIASES, **BUNDLED_FOLDERS}.get(model_name_or_path, model_name_or_path)
    if Path(source).is_dir():
        check_is_checkpoint(source)
        return source, _read_architecture(source, None)
    timm_name = source.removeprefix("timm/")
    if timm.is_model(timm_name):
        pretrained = timm.get_pretrained_cfg(timm_name, allow_unregistered=True)
        hub_id = pretrained.hf_hub_id if pretrained is not None else None
        return hub_id or source, timm_name.split(".")[0]
    known = ", ".join(map(repr, ["baseline", *ALIASES, *BUNDLED_FOLDERS]))
    if "/" not in source or source.startswith((".", "/", "~")):
        raise ValueError(
            f"`{setting}` is {model_name_or_path!r}, expected {known}, the name of a timm network, "
            "a Hub id like 'you/your-fer', or a checkpoint folder that exists."
        )
    return source, _read_architecture(source, revision)


def _read_architecture(source: str, revision: str | None) -> str | None:
    config = load_config(source, revision)
    return config.architecture if isinstance(config, TimmWrapperConfig) else None


def load_config(source: str, revision: str | None) -> Any:
    """Read the config of a checkpoint; errors as those of `reach`."""
    load = partial(AutoConfig.from_pretrained, source, revision=revision)
    with explain_faults(source):
        return load() if Path(source).is_dir() else reach(load, source, revision)


def choose_weights(
    weights: str, source: str, architecture: str, revision: str | None
) -> tuple[str, str | None]:
    """Return what the backbone was pretrained on, and the source of its weights (None: random)."""
    if weights == "none":
        return "none", None
    is_published = not Path(source).is_dir()
    if weights == "imagenet":
        if not is_published or "in1k" not in source:
            raise ValueError(
                f"`weights` is 'imagenet', but no ImageNet weights are known for {source!r}. "
                f"Use --weights none, or a model with them, such as {list(ALIASES)}."
            )
        return "ImageNet", source
    # `resnetv2` is the best pretrained ResNetV2 at hand; any other name asks for one architecture.
    bundled_may_serve = source == ALIASES["resnetv2"]
    if weights == "ferplus" and bundled_may_serve:
        return "FER+", DEFAULT_MODEL
    if weights != "auto":
        weights = DEFAULT_MODEL if weights == "ferplus" else weights
        _, found = resolve_source(weights, revision, "weights")
        if found != architecture:
            raise ValueError(
                f"`weights` {weights!r} are of architecture {found!r}, expected {architecture!r} "
                "as `model_name_or_path` says. Give weights of the same architecture."
            )
        return _name_pretraining(weights), weights
    if not is_published:
        return _name_pretraining(source), source
    if _is_reachable(source, revision):
        return ("ImageNet" if "in1k" in source else source), source
    logger.warning(
        "No network, and no copy of %s in the cache: %s. Pass --weights imagenet to insist, or "
        "--weights %s to silence this.",
        source,
        "the backbone is that of the bundled model, a slim ResNetV2-18 trained on FER+"
        if bundled_may_serve
        else f"{architecture} starts from random weights",
        "ferplus" if bundled_may_serve else "none",
    )
    return ("FER+", DEFAULT_MODEL) if bundled_may_serve else ("none", None)


def _name_pretraining(source: str) -> str:
    return "FER+" if source in BUNDLED_FOLDERS.values() else Path(source).resolve().name


def _is_reachable(repo_id: str, revision: str | None) -> bool:
    """Return whether a model is in the cache or on a Hub that answers within a few seconds."""
    cached = try_to_load_from_cache(repo_id, "config.json", revision=revision)
    if isinstance(cached, str):
        return True
    try:
        HfApi().model_info(repo_id, revision=revision, timeout=_CONNECT_SECONDS)
    except (OSError, HTTPError, OfflineModeIsEnabled):
        return False
    return True


def reach(load: Callable[[], Any], source: str, revision: str | None) -> Any:
    """Call `load`; if `source` cannot be reached, say in one line what to do.

    The Hub is asked once first: over a typo, transformers would try again for half a minute.
    """
    advice = "Check the name and the network. To train without a network, use --weights none."
    if not Path(source).is_dir() and not _is_reachable(source, revision):
        raise OSError(
            f"Could not load model {source!r}: there is no such folder, and it is neither in the "
            f"cache nor on a Hub that answers. {advice}"
        )
    try:
        return load()
    except (OSError, OfflineModeIsEnabled) as error:
        first_line = str(error).strip().splitlines()[0]
        raise OSError(f"Could not load model {source!r}: {first_line} {advice}") from error


def open_network(model_class: Any, source: str, **settings: Any) -> tuple[Any, set[str]]:
    """Open a network, and run no code that comes with it.

    Returns:
        The network, and the names of its tensors that the checkpoint lacks.

    Raises:
        OSError: The weights are damaged.
        ValueError: It is not an image classifier, or its weights are not finite.
    """
    # Transformers reports missing tensors in a table; `refuse_missing_tensors` names them instead.
    reports = logging.getLogger("transformers.modeling_utils")
    reports.addFilter(_is_not_load_report)
    try:
        with explain_faults(source):
            model, loading = model_class.from_pretrained(
                source,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **settings,
            )
    finally:
        reports.removeFilter(_is_not_load_report)
    missing = {*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])}
    _refuse_broken_numbers(source, model, missing)
    return model, missing


@contextmanager
def explain_faults(source: str) -> Iterator[None]:
    """Say in one line, with the name of the checkpoint, what a library found wrong with it.

    Raises:
        OSError: The weights are damaged, or a file cannot be found, reached or read.
        ValueError: Its settings are not those of an image classifier.
    """
    try:
        yield
    except SafetensorError as error:
        raise OSError(
            f"The weights of {source!r} are damaged or incomplete ({error}). Copy them again."
        ) from error
    except OSError:
        raise
    # Settings of another kind than expected make transformers and timm raise what goes wrong first.
    except Exception as error:
        # The rest lists every network there is.
        first_line = str(error).strip().partition("\n")[0].partition(", or one of")[0]
        raise ValueError(
            f"{source!r} is not an image classifier that can be opened: {first_line.rstrip('.')} "
            f"({type(error).__name__}). Check `{CONFIG_FILE}` and `{PROCESSOR_FILE}` there, or "
            "copy the checkpoint again."
        ) from error


def _refuse_broken_numbers(source: str, model: PreTrainedModel, missing: set[str]) -> None:
    """Refuse tensors of the checkpoint; those it lacks may hold anything until they are drawn."""
    broken = [
        name
        for name, values in model.state_dict().items()
        if name not in missing and values.is_floating_point() and not values.isfinite().all()
    ]
    if broken:
        raise ValueError(
            f"The weights of {source!r} are NaN or infinite in {len(broken)} tensors, such as "
            f"{broken[0]!r}, expected finite numbers: its training diverged, or the file is "
            "damaged. Give an earlier checkpoint, or train again with a lower learning rate."
        )


def _is_not_load_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()


def refuse_missing_tensors(source: str, missing: set[str]) -> None:
    """Raise a ValueError if any are missing: with random weights, answers would be random."""
    if missing:
        raise ValueError(
            f"Checkpoint {source!r} lacks {len(missing)} tensors of its network, such as "
            f"{min(missing)!r}, or has them in another shape: its answers would be random. Give a "
            "checkpoint that was trained to classify pictures, and the `model_args` it was made "
            "with."
        )
