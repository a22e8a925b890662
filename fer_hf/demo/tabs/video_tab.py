"""The tab *Video*: the faces of a video, followed from frame to frame."""

import tempfile
import threading
from collections.abc import Iterator

import gradio as gr
from gradio.context import Context

from fer_hf.demo.demo_models import DemoModels
from fer_hf.demo.messages import show_errors
from fer_hf.video.analysis import VideoResult, analyse_video

STOPPED = "Stopped; nothing of the video is kept."


class _StoppedError(Exception):
    """The visitor does not want the rest of it, or has left."""


def build_video_tab(models: DemoModels) -> None:
    """Lay out the tab."""
    gr.Markdown(
        f"Up to {models.limits.video_seconds / 60:.0f} minutes. The video comes back without "
        "sound, with its faces followed from frame to frame, and with a table."
    )
    with gr.Row():
        with gr.Column():
            video = gr.Video(label="Your video", sources=["upload"])
            with gr.Row():
                read_button = gr.Button("Read the video", variant="primary")
                stop_button = gr.Button("Stop")
            note = gr.Markdown()
        with gr.Column():
            annotated = gr.Video(label="With its faces", interactive=False)
            # A label would hide the title that the plot has.
            plot = gr.Image(label="Over time", show_label=False, format="png", interactive=False)
            tables = gr.File(
                label="CSV and Parquet: a row for each detection of a face",
                file_count="multiple",
                interactive=False,
            )

    reading = _VideoReading(models)
    read_button.click(
        reading.read_video,
        video,
        [note, annotated, plot, tables],
        concurrency_limit=1,
        concurrency_id="video",
        show_progress_on=note,
    )
    stop_button.click(reading.stop_video, queue=False)
    if page := Context.root_block:
        page.unload(reading.stop_video)


class _VideoReading:
    """The functions of the tab, and whose video is being read."""

    def __init__(self, models: DemoModels) -> None:
        self._models = models
        self._running: dict[str, threading.Event] = {}

    @show_errors
    def read_video(
        self,
        video: str | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio looks for it among the defaults
    ) -> Iterator[tuple[str, str | None, str | None, list[str] | None]]:
        """Follow the faces of a video and read their expressions over time.

        Args:
            video: A video file.
            request: Tells whose it is.
            progress: The bar of the page.

        Returns:
            A note in Markdown; the video with a box for each face (mp4); a plot of the scores over
            time (PNG); and the table as CSV and as Parquet.
        """
        if video is None:
            raise ValueError("There is no video, expected a file. Choose one.")
        visitor, stopped = str(request.session_hash), threading.Event()
        self._running[visitor] = stopped

        def show_progress(share: float) -> None:
            if stopped.is_set():
                raise _StoppedError
            progress(share, desc="Reading")

        limits = self._models.limits
        with tempfile.TemporaryDirectory() as folder:
            try:
                result = analyse_video(
                    video,
                    self._models.reader,
                    output_dir=folder,
                    max_seconds=limits.video_seconds,
                    max_pixels=limits.pixels,
                    progress=show_progress,
                )
            except _StoppedError:
                yield STOPPED, None, None, None
                return
            finally:
                self._running.pop(visitor, None)
            # Gradio has copies of its own, which it deletes later, once these have been taken.
            tables = [str(file) for file in (result.csv, result.parquet) if file]
            yield describe_video(result), str(result.annotated), str(result.plot), tables

    def stop_video(self, request: gr.Request) -> None:
        """Stop reading the visitor's video."""
        if stopped := self._running.get(str(request.session_hash)):
            stopped.set()


def describe_video(result: VideoResult) -> str:
    """Describe in Markdown what was read, and what was wrong with the file."""
    text = (
        f"Faces followed: {result.num_faces}. Seconds: {result.seconds:.1f}. Detections: "
        f"{result.num_detections} in {result.num_frames} frames. Cuts: {result.num_cuts}."
    )
    return f"{text} **{result.note}**" if result.note else text
