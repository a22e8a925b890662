"""The tab that reads a video."""

import tempfile
import threading
from collections.abc import Iterator

import gradio as gr
from gradio.context import Context

from fer_hf.demo.kit import DemoKit
from fer_hf.demo.messages import show_errors
from fer_hf.video import VideoResult, analyse_video

STOPPED = "Stopped; nothing of the video is kept."


class _StoppedError(Exception):
    """The visitor does not want the rest of it, or has left."""


def build_video_tab(kit: DemoKit) -> None:
    """Lay out the tab inside of the current Blocks."""
    gr.Markdown(
        f"Up to {kit.limits.video_seconds / 60:.0f} minutes. The video comes back without sound, "
        "with its faces followed from frame to frame, and with a table."
    )
    with gr.Row():
        with gr.Column():
            video = gr.Video(label="Your video", sources=["upload"])
            with gr.Row():
                read_button = gr.Button("Read the video", variant="primary")
                stop_button = gr.Button("Stop")
            note = gr.Markdown()
        with gr.Column():
            annotated = gr.Video(label="What is seen", interactive=False)
            # A label would hide the title that the plot has.
            plot = gr.Image(label="Over time", show_label=False, format="png", interactive=False)
            tables = gr.File(
                label="CSV and Parquet: a row for each detection and face",
                file_count="multiple",
                interactive=False,
            )
    running: dict[str, threading.Event] = {}

    @show_errors
    def read_video(
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
        running[visitor] = stopped

        def show_progress(share: float) -> None:
            if stopped.is_set():
                raise _StoppedError
            progress(share, desc="Reading")

        with tempfile.TemporaryDirectory() as folder:
            try:
                result = analyse_video(
                    video,
                    kit.quick_reader,
                    output_dir=folder,
                    max_seconds=kit.limits.video_seconds,
                    max_pixels=kit.limits.pixels,
                    progress=show_progress,
                )
            except _StoppedError:
                yield STOPPED, None, None, None
                return
            finally:
                running.pop(visitor, None)
            # Gradio has copies of its own, which it deletes later, once these have been taken.
            yield (
                describe_video(result),
                str(result.annotated),
                str(result.plot),
                [str(result.csv), str(result.parquet)],
            )

    def stop_video(request: gr.Request) -> None:
        """Stop reading the visitor's video."""
        if stopped := running.get(str(request.session_hash)):
            stopped.set()

    read_button.click(
        read_video,
        video,
        [note, annotated, plot, tables],
        concurrency_limit=1,
        concurrency_id="video",
        api_name="read_video",
        show_progress_on=note,
    )
    stop_button.click(stop_video, queue=False, api_name="stop_video")
    if page := Context.root_block:
        page.unload(stop_video)


def describe_video(result: VideoResult) -> str:
    """Say in Markdown what was read, and what was wrong with the file."""
    text = (
        f"Faces followed: {result.num_faces}. Seconds: {result.seconds:.1f}. Detections: "
        f"{result.num_detections} in {result.num_frames} frames. Cuts: {result.num_cuts}."
    )
    return f"{text} **{result.note}**" if result.note else text
