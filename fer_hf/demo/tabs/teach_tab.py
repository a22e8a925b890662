"""The tab where a visitor teaches a head of his own; all of it is his alone, and goes with him."""

import weakref

import gradio as gr
from gradio.context import Context

from fer_hf.demo.batch import list_pictures_of
from fer_hf.demo.examples import build_picture_input, build_whole_picture_input
from fer_hf.demo.kit import DemoKit
from fer_hf.demo.limits import open_picture
from fer_hf.demo.messages import show_errors
from fer_hf.demo.tabs.picture_tab import NOTHING, Shown, build_annotated_output, read_picture
from fer_hf.demo.teaching import FEWEST_PICTURES, MOST_LABELS, Lesson, describe_figures

_SECONDS_KEPT = 3600.0


def build_teach_tab(kit: DemoKit) -> None:
    """Lay out the tab inside of the current Blocks."""
    gr.Markdown(
        f"Give two to {MOST_LABELS} labels of your own, {FEWEST_PICTURES} pictures or more of "
        "each (twenty are better), and get a model of your own in seconds. It is yours alone, and "
        "deleted when you leave the page; files you sent are deleted "
        f"{kit.limits.kept_seconds // 60} minutes after they came."
    )
    with gr.Row():
        with gr.Column():
            label = gr.Textbox(label="Name of a label", placeholder="e.g. pleased", max_length=30)
            files = gr.File(label="Its pictures, or a zip", file_count="multiple", height=160)
            add_button = gr.Button("Add to label")
            counts = gr.Dataframe(
                headers=["label", "pictures"], label="So far", interactive=False, type="array"
            )
            notes = gr.Markdown()
            with gr.Row():
                teach_button = gr.Button("Teach", variant="primary")
                forget_button = gr.Button("Forget everything")
        with gr.Column():
            figures = gr.Markdown()
            download = gr.File(label="Your model, as a zip", interactive=False)
            picture = build_picture_input()
            whole_picture = build_whole_picture_input()
            drawn = build_annotated_output()
            panels = gr.HTML(padding=False)
            with gr.Accordion("As numbers", open=False):
                numbers = gr.JSON(show_label=False)
    state = gr.State(None, time_to_live=_SECONDS_KEPT, delete_callback=_forget)
    # Only to find a lesson by its visitor when he leaves; his session is what holds it.
    lessons: weakref.WeakValueDictionary[str, Lesson] = weakref.WeakValueDictionary()

    @show_errors
    def add_examples(
        label: str, files: list[str] | None, lesson: Lesson | None, request: gr.Request
    ) -> tuple[list[list[str | int]], str, None, Lesson]:
        """Add pictures to a label of one's own.

        Args:
            label: A name, 1-30 letters, digits, spaces, - and '.
            files: Pictures of one face each, or zips of them.
            lesson: What the visitor has added so far; the page keeps it.
            request: Tells who it is.

        Returns:
            Label and number of pictures of all labels so far; notes in Markdown on pictures that
            were left out or have not exactly one face.
        """
        if lesson is None:
            lesson = Lesson(kit.models[0], kit.detector, kit.limits)
            lessons[str(request.session_hash)] = lesson
        pictures, others = list_pictures_of(files or [], kit.limits)
        lines = lesson.add(label, pictures) + [f"{name}: no picture" for name in others]
        return _list_counts(lesson), _list_lines(lines), None, lesson

    @show_errors
    def teach(
        lesson: Lesson | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio looks for it among the defaults
    ) -> tuple[str, str, Lesson]:
        """Teach a head with the pictures that were added; call `add_examples` first.

        Returns:
            Cross-validated figures in Markdown, and the checkpoint as a zip.
        """
        lesson = _expect(lesson)
        progress(0.2, desc="Teaching")
        taught = lesson.teach(download.GRADIO_CACHE)
        return describe_figures(taught.report), str(taught.archive), lesson

    @show_errors
    def try_taught(picture: str | None, whole_picture: bool, lesson: Lesson | None) -> Shown:
        """Read a picture with the head that was taught; call `teach` first.

        Args:
            picture: A picture file.
            whole_picture: Take all of it as one face.
            lesson: What was taught; the page keeps it.

        Returns:
            The picture with a box around each face; HTML for people; and a list with an object for
            each face from left to right, as `read_faces` returns it, with the labels taught.
        """
        if picture is None:
            return NOTHING
        taught = _expect(lesson).taught
        if taught is None:
            raise ValueError("Nothing is taught yet, expected a model. Press Teach first.")
        return read_picture(taught.reader, open_picture(picture, kit.limits), whole_picture)

    @show_errors
    def forget_taught(lesson: Lesson | None) -> tuple[object, ...]:
        """Delete the faces that were added and the model that was taught."""
        _forget(lesson)
        return [], "Your model and the faces it learnt from are deleted.", "", None, *NOTHING

    def forget_visitor(request: gr.Request) -> None:
        """Delete a visitor's pictures and model at once when he leaves."""
        _forget(lessons.pop(str(request.session_hash), None))

    add_button.click(
        add_examples,
        [label, files, state],
        [counts, notes, files, state],
        api_name="add_examples",
        concurrency_limit=1,
        concurrency_id="teach",
    )
    teach_button.click(
        teach,
        state,
        [figures, download, state],
        api_name="teach",
        concurrency_limit=1,
        concurrency_id="teach",
    )
    gr.on(
        [picture.change, whole_picture.input],
        try_taught,
        [picture, whole_picture, state],
        [drawn, panels, numbers],
        api_name="try_taught",
        trigger_mode="always_last",
    )
    forget_button.click(
        forget_taught,
        state,
        [counts, notes, figures, download, drawn, panels, numbers],
        api_name="forget_taught",
    )
    if page := Context.root_block:
        page.unload(forget_visitor)


def _forget(lesson: Lesson | None) -> None:
    if lesson is not None:
        lesson.forget()


def _expect(lesson: Lesson | None) -> Lesson:
    if lesson is None:
        raise ValueError(
            "There are no labels, expected two or more. Add pictures to a label first."
        )
    return lesson


def _list_counts(lesson: Lesson) -> list[list[str | int]]:
    return [[label, count] for label, count in lesson.counts.items()]


def _list_lines(lines: list[str]) -> str:
    return "\n".join(f"- `{line.replace('`', '')}`" for line in lines)
