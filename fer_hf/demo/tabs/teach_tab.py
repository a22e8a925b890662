"""The tab *Teach it*: visitors teach a head of their own, which nobody else sees."""

import weakref

import gradio as gr
from gradio.context import Context

from fer_hf.demo.batch_reading import list_pictures_of
from fer_hf.demo.components import (
    NOTHING,
    Shown,
    build_faces_output,
    build_numbers_output,
    build_picture_input,
    read_picture,
)
from fer_hf.demo.demo_models import DemoModels
from fer_hf.demo.limits import open_picture
from fer_hf.demo.messages import show_errors
from fer_hf.demo.teaching import FEWEST_PICTURES, MOST_LABELS, Lesson, describe_figures

_SECONDS_KEPT = 3600.0


def build_teach_tab(models: DemoModels) -> None:
    """Lay out the tab."""
    gr.Markdown(
        f"Name two to {MOST_LABELS} labels, give {FEWEST_PICTURES} or more pictures of each "
        "(twenty are better), and get a model of your own in seconds. Nobody else can use it, and "
        "it is deleted when you leave the page. The files you upload are deleted after "
        f"{models.limits.kept_seconds // 60} minutes."
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
            picture, whole_picture = build_picture_input()
            shown = [*build_faces_output(), build_numbers_output()]
    lesson = gr.State(None, time_to_live=_SECONDS_KEPT, delete_callback=_forget)

    school = _School(models, str(download.GRADIO_CACHE))
    add_button.click(
        school.add_examples,
        [label, files, lesson],
        [counts, notes, files, lesson],
        concurrency_limit=1,
        concurrency_id="teach",
    )
    teach_button.click(
        school.teach,
        lesson,
        [figures, download, lesson],
        concurrency_limit=1,
        concurrency_id="teach",
    )
    gr.on(
        [picture.change, whole_picture.input],
        school.try_taught,
        [picture, whole_picture, lesson],
        shown,
        trigger_mode="always_last",
    )
    forget_button.click(school.forget_taught, lesson, [counts, notes, figures, download, *shown])
    if page := Context.root_block:
        page.unload(school.forget_visitor)


class _School:
    """The functions of the tab; each visitor's lesson is held by the visitor's own session."""

    def __init__(self, models: DemoModels, parent_dir: str) -> None:
        self._models = models
        self._parent_dir = parent_dir
        # Only to find a lesson by its visitor, who is about to leave.
        self._lessons: weakref.WeakValueDictionary[str, Lesson] = weakref.WeakValueDictionary()

    @show_errors
    def add_examples(
        self, label: str, files: list[str] | None, lesson: Lesson | None, request: gr.Request
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
        limits = self._models.limits
        if lesson is None:
            lesson = Lesson(self._models.sources[0], self._models.detector, limits)
            self._lessons[str(request.session_hash)] = lesson
        pictures, others = list_pictures_of(files or [], limits)
        lines = lesson.add(label, pictures) + [f"{name}: not a picture" for name in others]
        notes = "\n".join(f"- `{line.replace('`', '')}`" for line in lines)
        return [[name, count] for name, count in lesson.counts.items()], notes, None, lesson

    @show_errors
    def teach(
        self,
        lesson: Lesson | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio looks for it among the defaults
    ) -> tuple[str, str, Lesson]:
        """Teach a head with the pictures that were added; call `add_examples` first.

        Returns:
            Cross-validated figures in Markdown, and the checkpoint as a zip.
        """
        lesson = _expect(lesson)
        progress(0.2, desc="Teaching")
        taught = lesson.teach(self._parent_dir)
        return describe_figures(taught.report), str(taught.archive), lesson

    @show_errors
    def try_taught(self, picture: str | None, whole_picture: bool, lesson: Lesson | None) -> Shown:
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
            raise ValueError("Nothing has been taught yet, expected a model. Press Teach first.")
        opened = open_picture(picture, self._models.limits)
        return read_picture(taught.reader, opened, whole_picture=whole_picture)

    @show_errors
    def forget_taught(self, lesson: Lesson | None) -> tuple[object, ...]:
        """Delete the faces that were added and the model that was taught."""
        _forget(lesson)
        return [], "Your model and the faces it learnt from are deleted.", "", None, *NOTHING

    def forget_visitor(self, request: gr.Request) -> None:
        """Delete a visitor's pictures and model as soon as the visitor leaves."""
        _forget(self._lessons.pop(str(request.session_hash), None))


def _forget(lesson: Lesson | None) -> None:
    if lesson is not None:
        lesson.forget()


def _expect(lesson: Lesson | None) -> Lesson:
    if lesson is None:
        raise ValueError(
            "There are no labels, expected two or more. Add pictures to a label first."
        )
    return lesson
