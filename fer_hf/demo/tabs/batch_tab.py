"""The tab *Batch*: many pictures at once."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import gradio as gr

from fer_hf.demo.batch_reading import (
    TABLE_COLUMNS,
    Cell,
    build_table,
    list_pictures_of,
    read_pictures,
    write_csv,
)
from fer_hf.demo.demo_models import DemoModels
from fer_hf.demo.messages import show_errors

CSV_NAME = "expressions.csv"
# In pixels, so that headings stay whole on a phone, where the table scrolls.
_COLUMN_WIDTHS = [200, 70, 110, 90, 80, 80, 80, 100, 300]
# More names than this say nothing more.
_MOST_NAMES = 5


def build_batch_tab(models: DemoModels) -> None:
    """Lay out the tab."""
    gr.Markdown(
        f"Up to {models.limits.batch_pictures:,} pictures, or zips of them. A file that cannot be "
        "read is named in the table, and the others are read nevertheless."
    )
    files = gr.File(label="Pictures or zips", file_count="multiple", height=180)
    button = gr.Button("Read all faces", variant="primary")
    summary = gr.Markdown()
    table = gr.Dataframe(
        headers=list(TABLE_COLUMNS),
        column_widths=list(_COLUMN_WIDTHS),
        label="Faces",
        interactive=False,
        wrap=True,
        type="array",
    )
    download = gr.File(label="CSV, with the score of each label", interactive=False)

    @show_errors
    def read_files(
        files: list[str] | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio looks for it among the defaults
    ) -> Iterator[tuple[str, list[list[Cell]], str]]:
        """Read the faces of many pictures.

        Args:
            files: Picture files, or zips of them.
            progress: The bar of the page.

        Returns:
            A summary in Markdown; a table with a row for each face, or for a file without one, of
            file, face, label, score (0-1), left, top, right, bottom (pixels) and note; and a CSV
            with the score of each label, too.
        """
        pictures, others = list_pictures_of(files or [], models.limits)
        progress((0, len(pictures)), desc="Opening the model")
        reader, rows = models.reader, []
        for done, found in enumerate(read_pictures(pictures, reader, models.limits), 1):
            rows += found
            progress((done, len(pictures)), desc="Reading", unit="pictures")
        faces = sum(row.reading is not None for row in rows)
        text = f"Faces found: {faces}. Pictures: {len(pictures)}.{describe_others(others)}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / CSV_NAME
            with path.open("w", encoding="utf-8", newline="") as file:
                write_csv(rows, reader.label_names, file)
            # Gradio has its own copy, which it deletes later, once this has been taken.
            yield text, build_table(rows), str(path)

    button.click(
        read_files,
        files,
        [summary, table, download],
        concurrency_limit=1,
        concurrency_id="batch",
        api_name="read_files",
        show_progress_on=summary,
    )


def describe_others(names: Sequence[str]) -> str:
    """Name the files that were left out, if there are any."""
    if not names:
        return ""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    named = ", ".join(f"`{name.replace('`', '')}`" for name in names[:_MOST_NAMES])
    return f" Left out, as they are not pictures: {named}{more}."
