"""How a camera sees a composed scene: its light, its focus, its noise and its files."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

_NOISE = np.random.default_rng(0).normal(size=1 << 21).astype(np.float32)


def photograph(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light a scene and take its picture as some camera would."""
    pixels = np.asarray(_blur(scene, rng) if rng.random() < 0.3 else scene, np.float32)
    if rng.random() < 0.5:
        pixels = pixels * _light_from_one_side(scene.width, rng)
    lot = rng.random()
    if lot < 0.14:
        pixels = pixels * np.float32(10 ** rng.uniform(-1.1, -0.3))
    elif lot < 0.24:
        pixels = pixels * np.float32(rng.uniform(1.2, 2.2)) + np.float32(rng.uniform(0, 40))
    elif lot < 0.8:
        contrast = np.float32(rng.uniform(0.4, 1.3))
        pixels = (pixels - 128) * contrast + np.float32(128 + rng.uniform(-40, 40))
    if rng.random() < 0.5:
        start = int(rng.integers(len(_NOISE) - pixels.size))
        sigma = np.float32(rng.uniform(0, 6 if lot < 0.14 else 20))
        pixels = pixels + sigma * _NOISE[start : start + pixels.size].reshape(pixels.shape)
    scene = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.2:
        file = io.BytesIO()
        scene.save(file, "JPEG", quality=int(rng.integers(20, 90)))
        scene = Image.open(file)
    return scene


def _light_from_one_side(side: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    x = np.linspace(-1, 1, side, dtype=np.float32)
    angle, depth, edge = rng.uniform((0, 0.1, 1), (2 * np.pi, 0.9, 6)).astype(np.float32)
    slope = edge * (np.cos(angle) * x + np.sin(angle) * x[:, None])
    return 1 - depth / 2 + depth / 2 * slope.clip(-1, 1)


def _blur(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Put a scene out of focus, move the camera, or enlarge it from fewer pixels."""
    kind = rng.integers(3)
    if kind == 0:
        return scene.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.6)))
    if kind == 1:
        way = (1, 0, rng.uniform(1, 4.5), 0, 1, rng.uniform(-2, 2))
        return Image.blend(scene, scene.transform(scene.size, Image.Transform.AFFINE, way), 0.5)
    small = max(32, round(scene.width * rng.uniform(0.4, 0.9)))
    reduced = scene.resize((small, small), Image.Resampling.BILINEAR)
    return reduced.resize(scene.size, Image.Resampling.BILINEAR)
