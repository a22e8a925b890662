"""The tab *Live*: a webcam, read while it runs."""

import base64
import io
import time
from collections.abc import Sequence
from html import escape

import gradio as gr
from PIL import Image

from fer_hf.demo.demo_models import DemoModels
from fer_hf.demo.messages import show_errors
from fer_hf.demo.timeline import Timeline, render_timeline
from fer_hf.demo.views import render_readings
from fer_hf.faces.overlay import draw_readings
from fer_hf.faces.reader import FaceReading
from fer_hf.faces.tracking import FaceTracker

SECONDS_BETWEEN_FRAMES = 0.2
"""The browser sends no frame sooner; it sends fewer where an answer takes longer."""

# Each visitor's stream holds one place for as long as it runs, so there must be a few of them, and
# nobody may hold one forever.
_MOST_VISITORS = 4
_SECONDS_OF_WORK = 300
_TIMELINE_SECONDS = 60.0
# Seconds without a face after which it is a new one: several looks, even on a busy machine.
_MAX_GAP = 3.0


class Watch:
    """What is remembered of one visitor's webcam: its faces, and their last minute."""

    def __init__(self, threshold: float | None) -> None:
        self._tracker = FaceTracker(threshold=threshold, max_gap=_MAX_GAP)
        self._timeline = Timeline(seconds=_TIMELINE_SECONDS)

    def see(self, readings: Sequence[FaceReading]) -> list[FaceReading]:
        """Take in the faces of the frame of this moment, and return them smoothed."""
        now = time.monotonic()
        tracked = self._tracker.update(now, readings)
        self._timeline.add(now, tracked)
        return tracked

    def render(self) -> str:
        """Return the timeline as HTML."""
        return render_timeline(self._timeline.to_rows(), seconds=_TIMELINE_SECONDS)


def build_live_tab(models: DemoModels) -> None:
    """Lay out the tab."""
    with gr.Row():
        with gr.Column():
            camera = gr.Image(
                label="Your webcam",
                sources=["webcam"],
                streaming=True,
                type="pil",
                webcam_options=gr.WebcamOptions(mirror=True),
            )
            gr.Markdown(
                "Frames are read on the server and forgotten at once: none is written to a disk. "
                "Those that come faster than they can be read are left out."
            )
        with gr.Column():
            seen = gr.HTML(padding=False)
            timeline = gr.HTML(render_timeline([]), padding=False)
            panels = gr.HTML(padding=False)
    watch = gr.State(None)

    @show_errors
    def watch_frame(
        frame: Image.Image | None, watch: Watch | None
    ) -> tuple[object, object, object, Watch | None]:
        """Read the faces of one frame of a webcam, smoothed over those before it."""
        if frame is None:
            return gr.skip(), gr.skip(), gr.skip(), watch
        if frame.width * frame.height > models.limits.pixels:
            raise ValueError(
                f"The frame has {frame.width} × {frame.height} pixels, expected at most "
                f"{models.limits.pixels:,}. Choose a smaller size for the webcam."
            )
        reader = models.live_reader
        if watch is None:
            not_sure = reader.classifier.not_sure
            watch = Watch(None if not_sure is None else not_sure.threshold)
        (readings,) = reader([frame])
        tracked = watch.see(readings)
        drawn = draw_readings(frame, tracked, with_scores=False)
        return (
            embed_picture(drawn, describe_faces(tracked)),
            render_readings(tracked),
            watch.render(),
            watch,
        )

    camera.stream(
        watch_frame,
        [camera, watch],
        [seen, panels, timeline, watch],
        stream_every=SECONDS_BETWEEN_FRAMES,
        time_limit=_SECONDS_OF_WORK,
        concurrency_limit=_MOST_VISITORS,
        concurrency_id="live",
        show_progress="hidden",
        # A stream cannot be called once: a client would wait for its end. `read_faces` is for that.
        api_visibility="private",
    )


def describe_faces(tracked: Sequence[FaceReading]) -> str:
    """Describe in one line what a frame shows, for those who cannot see it."""
    if not tracked:
        return "No face found in this frame."
    return "; ".join(f"face {face.caption}" for face in tracked)


def embed_picture(picture: Image.Image, description: str) -> str:
    """Return HTML with the picture inside, so that no file of it is left on the server."""
    content = io.BytesIO()
    picture.save(content, "jpeg", quality=80)
    encoded = base64.b64encode(content.getvalue()).decode("ascii")
    return (
        f'<img src="data:image/jpeg;base64,{encoded}" alt="{escape(description)}" width="100%">'
        f"<p>{escape(description)}</p>"
    )
