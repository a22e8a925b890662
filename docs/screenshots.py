"""Take the screenshots of the demo: `python docs/screenshots.py [runs/drawn/drawn-resnetv2]`.

It writes demo-{desktop,phone}-{light,dark}.webp beside itself, with every tab in use. Each face in
them is drawn by the project. A second model is for the tab Compare; `make train` makes that one.
"""

import argparse
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

from fer_hf.data.drawn.faces import draw_face
from fer_hf.demo import DemoModels, build_demo
from fer_hf.demo.page import serve_demo
from fer_hf.models.bundled import BUNDLED_MODEL

TABS = ("Picture", "Live", "Video", "Why?", "Compare", "Teach it", "Batch", "About")
LAYOUTS = {"desktop": (1280, 1180, 640, 2), "phone": (390, 1500, 260, 4)}
"""Width and height of a screenshot, its width in the composite, and how many stand side by side, in
CSS pixels of the page."""
GAP = 16
GROUNDS = {"light": "#d6d3d1", "dark": "#44403c"}
MOST_BYTES = 300_000
SIDE = 320


def main() -> None:
    """Serve the demo, visit it in each theme, and write the composites."""
    parser = argparse.ArgumentParser(description="Take the screenshots of the demo.")
    parser.add_argument("second_model", nargs="*", help="a checkpoint folder to compare with")
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("There is no Chromium, expected it on the path. Install chromium.")
    models = DemoModels([BUNDLED_MODEL, *parser.parse_args().second_model], detector="finder")
    demo = build_demo(models)
    address = serve_demo(demo, models)
    models.open_all()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        drawn = Path(folder)
        draw_material(drawn)
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={drawn / 'camera.mjpeg'}",
            ],
        )
        for theme in GROUNDS:
            shots = list(take_shots(browser, f"{address}?__theme={theme}", drawn))
            for layout, of_layout in zip(LAYOUTS, zip(*shots, strict=True), strict=True):
                path = Path(__file__).with_name(f"demo-{layout}-{theme}.webp")
                write_composite(of_layout, layout, GROUNDS[theme], path)
        browser.close()
    demo.close(verbose=False)


def draw_material(folder: Path) -> None:
    """Draw what a visitor would bring: pictures, a video and what the camera sees."""
    cast = (("happy", 2), ("anger", 7), ("surprise", 7))
    group = Image.new("RGB", (len(cast) * SIDE, SIDE))
    for place, (emotion, seed) in enumerate(cast):
        face = draw_face(emotion, size=SIDE, seed=seed)
        face.save(folder / f"{emotion}.png")
        group.paste(face, (place * SIDE, 0))
    group.save(folder / "group.png")
    for emotion in ("happy", "sad"):
        for seed in (0, 7, 8):
            draw_face(emotion, size=SIDE, seed=seed).save(folder / f"{emotion}-{seed}.png")
    camera = Image.new("RGB", (640, 480), "grey")
    camera.paste(draw_face("surprise", size=480, seed=7), (80, 0))
    camera.save(folder / "camera.mjpeg", "JPEG")
    with av.open(folder / "clip.mp4", "w") as video:
        stream = video.add_stream("h264", rate=10)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for emotion in ("neutral", "happy", "surprise", "sad"):
            face = draw_face(emotion, size=SIDE, seed=8)
            for _ in range(10):
                video.mux(stream.encode(av.VideoFrame.from_image(face)))
        video.mux(stream.encode(None))


def take_shots(browser: Browser, address: str, drawn: Path) -> Iterator[list[Image.Image]]:
    """Yield for each tab, in use, a screenshot of each layout."""
    desktop: ViewportSize = {"width": LAYOUTS["desktop"][0], "height": LAYOUTS["desktop"][1]}
    page = browser.new_page(viewport=desktop)
    page.goto(address)
    for name in TABS:
        page.get_by_role("tab", name=name, exact=True).click()
        panel = page.get_by_role("tabpanel").filter(visible=True)
        use_tab(name, page, panel, drawn)
        page.mouse.move(0, 0)
        shots: list[Image.Image] = []
        for width, height, *_ in LAYOUTS.values():
            page.set_viewport_size({"width": width, "height": height})
            expect(page.locator(".progress-text").filter(visible=True)).to_have_count(
                0, timeout=30_000
            )
            page.wait_for_function("[...document.images].every((image) => image.complete)")
            png = page.screenshot(
                full_page=True,
                clip={"x": 0, "y": 0, "width": width, "height": height},
                animations="disabled",
            )
            shots.append(Image.open(io.BytesIO(png)))
        page.set_viewport_size(desktop)
        yield shots
    page.close()


def use_tab(name: str, page: Page, panel: Locator, drawn: Path) -> None:
    """Do in a tab what a visitor would, and wait until all of the answer is there."""

    def upload(*names: str, input_number: int = 0) -> None:
        files = [drawn / name for name in names]
        panel.locator("input[type=file]").nth(input_number).set_input_files(files)

    def expect_faces(count: int) -> None:
        expect(panel.get_by_role("region")).to_have_count(count, timeout=60_000)

    def expect_text(text: str) -> None:
        expect(panel.get_by_text(text).first).to_be_visible(timeout=60_000)

    if name == "Picture":
        upload("group.png")
        expect_faces(3)
    elif name == "Live":
        panel.get_by_role("button", name="Click to Access Webcam").click()
        panel.get_by_text("Record", exact=True).click()
        expect_faces(1)
        # A timeline needs some time.
        page.wait_for_timeout(8_000)
    elif name == "Video":
        upload("clip.mp4")
        panel.get_by_role("button", name="Read the video").click()
        expect_text("Faces followed")
    elif name == "Why?":
        upload("surprise.png")
        expect_text("what spoke for")
        expect(panel.get_by_alt_text("The face under a heat map")).to_be_visible()
    elif name == "Compare" and panel.locator("input[type=file]").count():
        upload("happy.png")
        expect_faces(2)
    elif name == "Teach it":
        for label, emotion in (("pleased", "happy"), ("low", "sad")):
            panel.get_by_label("Name of a label").fill(label)
            upload(*(f"{emotion}-{seed}.png" for seed in (0, 7, 8)))
            expect_text(f"{emotion}-0")
            panel.get_by_role("button", name="Add to label").click()
            expect(panel.get_by_role("row", name=f"{label} 3")).to_be_visible(timeout=60_000)
        panel.get_by_role("button", name="Teach", exact=True).click()
        expect_text("of 6 pictures")
        upload("happy.png", input_number=-1)
        expect_faces(1)
    elif name == "Batch":
        upload("group.png", "happy-0.png", "sad-8.png", "clip.mp4")
        expect_text("sad-8")
        panel.get_by_role("button", name="Read all faces").click()
        expect_text("Faces found")


def write_composite(shots: tuple[Image.Image, ...], layout: str, ground: str, path: Path) -> None:
    """Lay screenshots out in rows and write them as WebP of at most `MOST_BYTES`."""
    width, height, shown_width, columns = LAYOUTS[layout]
    size = shown_width, round(height * shown_width / width)
    rows = -(-len(shots) // columns)
    whole = GAP + columns * (size[0] + GAP), GAP + rows * (size[1] + GAP)
    composite = Image.new("RGB", whole, ground)
    for number, shot in enumerate(shots):
        row, column = divmod(number, columns)
        place = GAP + column * (size[0] + GAP), GAP + row * (size[1] + GAP)
        composite.paste(shot.convert("RGB").resize(size, Image.Resampling.LANCZOS), place)
    for quality in range(90, 0, -10):
        composite.save(path, quality=quality, method=6)
        if path.stat().st_size <= MOST_BYTES:
            break


if __name__ == "__main__":
    main()
