"""The `drawn` layout: the faces that this project draws itself, made on the spot."""

from pathlib import Path

from fer_hf.data.drawn import faces
from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.hub_datasets import describe_datasets


def _locate(path: Path, options: LoadOptions) -> Source:
    def read() -> dict[str, Part]:
        drawn = faces.load_drawn(options.num_drawn, size=options.drawn_size, seed=options.seed)
        return describe_datasets({"train": drawn}, "the drawn faces", "image", "label")

    return Source([f"drawing {faces.DRAWING_VERSION}"], read, "the emotions drawn")


DRAWN = Layout(
    "drawn",
    "the drawn faces, made on the spot: the source is the word 'drawn'",
    recognise=lambda path, options: False,
    locate=_locate,
    recognise_text=lambda text: text == "drawn",
)
