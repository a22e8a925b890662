"""A source of labelled pictures as a data set on the Hub: Parquet files and a card."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.table import embed_table_storage
from huggingface_hub import DatasetCard, DatasetCardData

from fer_hf.data.audit.label_counts import count_labels, render_label_counts
from fer_hf.data.stored_pictures import BATCH_SIZE, IMAGE_TYPE
from fer_hf.publishing.hub.commits import Pushed, Target, commit_files
from fer_hf.publishing.licensing import describe_license

_SHARD_BYTES = 400_000_000
_TEMPLATE = """\
---
{{ card_data }}
---

# {{ title }}

{{ total }} pictures of faces, each with one of {{ labels|length }} labels: {{ labels|join(", ") }}.

```python
from datasets import load_dataset

splits = load_dataset("{{ repo_id }}")
```

With `fer_hf`: `fer-hf train --data {{ repo_id }}`.

## Pictures of each label

{{ counts }}

Columns: {{ columns }}.

## Before you use it

A label says how somebody read an expression, not what the person felt. The people in the pictures
have rights in them, whatever the licence says.
"""


def push_dataset(
    splits: datasets.DatasetDict,
    repo_id: str,
    license_name: str,
    **target: Unpack[Target],
) -> Pushed:
    """Publish splits by one commit; pictures lose their file names.

    Args:
        splits: What `load_splits` returned.
        repo_id: `namespace/name`.
        license_name: Of the pictures, as the Hub spells it, or a name of its own.
        **target: As in `Target`.

    Raises:
        ValueError: The card would hold a token or a path.
        OSError: As `commit_files`, or the disk is full.
    """
    with tempfile.TemporaryDirectory() as name:
        files: dict[str, Path | bytes] = {
            f"data/{path.name}": path
            for split, data in splits.items()
            for path in _write_parquet(data, str(split), Path(name))
        }
        files["README.md"] = render_dataset_card(splits, repo_id, license_name).encode()
        return commit_files(
            repo_id,
            files,
            message="Upload pictures and labels",
            repo_type="dataset",
            replaces=["data/*.parquet"],
            **target,
        )


def render_dataset_card(
    splits: Mapping[str, datasets.Dataset], repo_id: str, license_name: str
) -> str:
    """Write the card of a data set as Markdown with YAML metadata."""
    first = next(iter(splits.values()))
    listed, own_name = describe_license(license_name)
    title = repo_id.rsplit("/", 1)[-1]
    data_files = [{"split": split, "path": f"data/{split}-*"} for split in splits]
    card = DatasetCard.from_template(
        DatasetCardData(
            license=listed,
            license_name=own_name,
            pretty_name=title,
            task_categories=["image-classification"],
            tags=["facial-expression-recognition", "emotion", "fer_hf"],
            configs=[{"config_name": "default", "data_files": data_files}],
        ),
        template_str=_TEMPLATE,
        title=title,
        repo_id=repo_id,
        total=f"{sum(len(data) for data in splits.values()):,}",
        labels=first.features["label"].names,
        counts=render_label_counts(count_labels(splits), "github"),
        columns=", ".join(f"`{column}`" for column in first.column_names),
    )
    return str(card).rstrip() + "\n"


def _write_parquet(data: datasets.Dataset, split: str, folder: Path) -> list[Path]:
    """Write a split into files of a few hundred megabytes, one batch in memory at a time."""
    paths: list[Path] = []
    writer: pq.ParquetWriter | None = None
    try:
        for batch in data.with_format("arrow").iter(BATCH_SIZE):
            if writer is None or paths[-1].stat().st_size > _SHARD_BYTES:
                if writer is not None:
                    writer.close()
                paths.append(folder / f"{split}-{len(paths):05}.parquet")
                # The schema tells `datasets` the names of the labels, and that these are pictures.
                writer = pq.ParquetWriter(paths[-1], data.features.arrow_schema)
            writer.write_table(_embed_pictures(batch))
    finally:
        if writer is not None:
            writer.close()
    return paths


def _embed_pictures(batch: pa.Table) -> pa.Table:
    """Put the bytes of pictures in the place of their paths and file names."""
    batch = embed_table_storage(batch)
    content = batch["image"].combine_chunks().field("bytes")
    pictures = pa.StructArray.from_arrays(
        [content, pa.nulls(len(batch), pa.string())], fields=list(IMAGE_TYPE)
    )
    position = batch.column_names.index("image")
    return batch.set_column(position, batch.schema.field("image"), pictures)
