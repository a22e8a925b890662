"""Faces that the project draws itself, so that everything runs on a new machine without a download.

Each face is a person, moved by the action units of one emotion, in some pose and light, as some
camera saw it. The units are those of the Facial Action Coding System (Ekman, Friesen & Hager 2002),
their sets the prototypes of EMFACS (Friesen & Ekman 1983).
"""

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fer_hf.data.drawn.canvas import OVERSAMPLE, UNTINTED, Pose, mix
from fer_hf.data.drawn.painter import ActionUnits, paint_face
from fer_hf.data.drawn.person import Person

# Raise it with every change to the drawings, so that no cache serves the old ones.
DRAWING_VERSION = 3

# For each emotion the sets of action units it is shown with; one of them is drawn at random.
EMOTION_ACTION_UNITS: dict[str, tuple[tuple[int, ...], ...]] = {
    "anger": ((4, 5, 7, 24), (4, 5, 7, 17, 23), (4, 5, 7, 23, 25)),
    "contempt": ((12, 14),),  # on one side of the face only
    "disgust": ((9, 10, 17), (9, 10, 15), (9, 10, 25)),
    "fear": ((1, 2, 4, 5, 20, 26), (1, 2, 4, 5, 20, 25)),
    "happy": ((6, 12), (6, 12, 25), (6, 12, 25, 26)),
    "neutral": ((),),
    "sad": ((1, 4, 15), (1, 4, 15, 17)),
    "surprise": ((1, 2, 5, 26), (1, 2, 5, 27)),
}
_ONE_SIDED = ("contempt",)
# Every unit a face can move; a stray one may stir in any picture.
_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 27)

_SKINS = (
    (252, 224, 206),
    (240, 200, 170),
    (224, 172, 132),
    (190, 132, 92),
    (142, 92, 62),
    (92, 58, 42),
)
_HAIRS = (
    (26, 20, 20),
    (48, 32, 26),
    (84, 54, 36),
    (132, 84, 48),
    (196, 152, 92),
    (150, 66, 38),
    (172, 170, 168),
)
_IRISES = ((74, 46, 30), (104, 68, 40), (92, 120, 150), (88, 118, 84), (60, 52, 48))
_COVERINGS = ("none", "mask", "scarf", "hand", "bar")
_COVERING_SHARES = (0.84, 0.03, 0.04, 0.05, 0.04)

_Map = NDArray[np.float32]


def draw_face(emotion: str, *, size: int = 128, seed: int = 0) -> Image.Image:
    """Draw one face.

    The same seed gives the same person, pose, light and camera with every emotion.

    Args:
        emotion: a key of `EMOTION_ACTION_UNITS`.
        size: side of the square picture in pixels, at least 32.
        seed: which of the endless supply, at least 0.

    Returns:
        An RGB picture.

    Raises:
        ValueError: unknown emotion, `size` or `seed` too small.
    """
    if emotion not in EMOTION_ACTION_UNITS:
        raise ValueError(
            f"Found emotion {emotion!r}, expected one of {list(EMOTION_ACTION_UNITS)}. "
            "Pass one of these names."
        )
    _check_size_and_seed(size, seed)
    return _draw(emotion, size, np.random.default_rng(seed))


def choose_emotion(index: int, seed: int = 0) -> str:
    """Return the emotion of a numbered face; every eight of them show all eight, in mixed order."""
    turn, place = divmod(index, len(EMOTION_ACTION_UNITS))
    order = np.random.default_rng((seed, turn, 8)).permutation(len(EMOTION_ACTION_UNITS))
    return list(EMOTION_ACTION_UNITS)[order[place]]


def draw_numbered_face(index: int, *, size: int = 128, seed: int = 0) -> Image.Image:
    """Draw face number `index` of a series, an RGB picture with the emotion of `choose_emotion`.

    Each number is another person. Arguments and errors are those of `draw_face`; another seed is
    another series.
    """
    _check_size_and_seed(size, seed)
    return _draw(choose_emotion(index, seed), size, np.random.default_rng((seed, index)))


def locate_numbered_face(
    index: int, *, size: int = 128, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the face of `draw_numbered_face` is.

    Returns:
        Left, top, right and bottom from the forehead to the chin in pixels, shape (4,); and the
        landmarks of a `Face`, shape (5, 2), the mouth's corners where they rest.
    """
    rng = np.random.default_rng((seed, index))
    person = _sample_person(rng)
    pose = _sample_pose(person, size, rng)
    gap, nose = person.eye_gap, 0.2 + person.nose_length
    landmarks = np.array([(-gap, 0), (gap, 0), (0, nose), (-0.24, 0.553), (0.24, 0.553)])
    # The sides of the face before the ears; its box is that of the turned ellipse.
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    ellipse = np.stack([0.73 * np.cos(angle), 0.13 + 0.89 * np.sin(angle)], axis=1)
    outline = pose.place(ellipse, 0.2) / OVERSAMPLE
    box = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
    return box, pose.place(landmarks) / OVERSAMPLE


def _check_size_and_seed(size: int, seed: int) -> None:
    if size < 32:
        raise ValueError(f"Found size={size}, expected at least 32 pixels. Ask for a larger size.")
    if seed < 0:
        raise ValueError(
            f"Found seed={seed}, expected 0 or more. Pass a seed that is not negative."
        )


def _draw(emotion: str, size: int, rng: np.random.Generator) -> Image.Image:
    # The emotion enters as late as possible, and changes nothing about the draws after it.
    person = _sample_person(rng)
    pose = _sample_pose(person, size, rng)
    units = _sample_action_units(emotion, rng)
    gaze = rng.normal(0, (0.022, 0.008)).clip(-0.045, 0.045)
    figure, tints = paint_face(person, units, pose, gaze, size)
    return _photograph(figure, tints, pose, rng)


def _sample_person(rng: np.random.Generator) -> Person:
    tone = rng.uniform(0, len(_SKINS) - 1)
    lighter, darker = np.array(_SKINS, dtype=float)[[int(tone), int(tone) + 1]]
    skin = mix(lighter, darker, tone % 1) * rng.uniform(0.97, 1.03, 3)
    age = float(rng.beta(1.2, 2.0))
    hair = np.array(_HAIRS[rng.integers(3 if tone > 3 else len(_HAIRS) - 1)], dtype=float)
    hair = mix(hair, _HAIRS[-1], (age - 0.5) * 2.5) * rng.uniform(0.9, 1.1)
    eyes = _IRISES[rng.choice((0, 4)) if tone > 2.5 else rng.integers(len(_IRISES))]
    rouge = rng.choice((0.35, 0.45, 0.75), p=(0.5, 0.3, 0.2))
    has_long_hair = rng.random() < 0.45
    hue, value = rng.uniform(), rng.uniform(0.3, 0.85)
    return Person(
        skin=skin,
        hair=hair,
        iris=np.array(eyes, dtype=float),
        lips=mix(skin * (0.86, 0.66, 0.66), (176, 44, 62), rouge - 0.2),
        clothes=np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.1, 0.6), value)) * 255,
        age=age,
        width=rng.uniform(0.92, 1.05),
        jaw=rng.uniform(0.52, 0.63),
        chin=rng.uniform(0.23, 0.33),
        eye_gap=rng.uniform(0.28, 0.325),
        eye_size=rng.uniform(0.94, 1.14),
        brow_width=rng.uniform(0.05, 0.085) - 0.015 * has_long_hair,
        nose_width=rng.uniform(0.115, 0.165),
        nose_length=rng.uniform(0.03, 0.10),
        lip_fullness=rng.uniform(0.7, 1.4),
        hair_volume=rng.uniform(0.04, 0.2),
        hair_length=rng.uniform(0.75, 1.5) if has_long_hair else rng.uniform(-0.1, 0.25),
        hairline=rng.choice((rng.uniform(-0.68, -0.5), -0.30), p=(0.85, 0.15)),
        hair_part=rng.uniform(-1, 1),
        curl=rng.choice((0.0, rng.uniform(0.04, 0.1)), p=(0.7, 0.3)),
        is_bald=not has_long_hair and rng.random() < 0.14,
        beard=0.0 if has_long_hair or rng.random() < 0.6 else rng.uniform(0.15, 0.9),
        glasses=rng.choice(("none", "clear", "dark"), p=(0.82, 0.16, 0.02)),
        covering=rng.choice(_COVERINGS, p=_COVERING_SHARES),
    )


def _sample_pose(person: Person, size: int, rng: np.random.Generator) -> Pose:
    canvas = size * OVERSAMPLE
    return Pose(
        yaw=rng.normal(0, 0.12),
        pitch=rng.normal(0, 0.07),
        roll=rng.normal(0, 0.06),
        scale=canvas * rng.uniform(0.38, 0.43),
        centre=(canvas * rng.uniform(0.48, 0.52), canvas * rng.uniform(0.48, 0.53)),
        width=person.width,
    )


def _sample_action_units(emotion: str, rng: np.random.Generator) -> ActionUnits:
    """Return each unit's strength left and right: the emotion's, uneven, and a few strays."""
    prototypes = EMOTION_ACTION_UNITS[emotion]
    lot, strength = rng.random(), rng.uniform(0.4, 1.1)
    gains = rng.uniform(0.8, 1.15, (len(_UNITS), 1)) * rng.uniform(0.88, 1.12, (len(_UNITS), 2))
    strays = rng.uniform(0, 0.2, len(_UNITS)) * (rng.random(len(_UNITS)) < 0.12)
    one_side = rng.permutation([1.0, 0.08])
    shown = prototypes[int(lot * len(prototypes))]
    sides = one_side if emotion in _ONE_SIDED else np.ones(2)
    return {
        unit: np.maximum(strength * gain * sides * (unit in shown), stray)
        for unit, gain, stray in zip(_UNITS, gains, strays, strict=True)
    }


def _photograph(
    figure: Image.Image, tints: Image.Image, pose: Pose, rng: np.random.Generator
) -> Image.Image:
    """Light the figure, put it before a background and take its picture (RGB, uint8)."""
    size = figure.width
    y, x = np.mgrid[:size, :size].astype(np.float32)
    cutout = np.asarray(figure, dtype=np.float32)
    light = _lambert(x, y, pose, rng) * (np.asarray(tints, dtype=np.float32) / UNTINTED)
    alpha = cutout[..., 3:] / 255
    backdrop = _backdrop(x / size, y / size, rng)
    picture = backdrop + alpha * (cutout[..., :3] * light - backdrop)
    cast = rng.normal(1, 0.04, 3) * rng.uniform(0.8, 1.12)
    contrast = rng.uniform(0.8, 1.1)
    picture = (picture * cast.astype(np.float32) - 128) * np.float32(contrast) + 128
    is_grey = rng.random() < 0.2
    blur = size / 128 * float(rng.choice((0.0, rng.uniform(0.4, 1.2)), p=(0.6, 0.4)))
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(0, 7))
    if blur > 0:
        shot = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
        picture = np.asarray(shot.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32)
    shot = Image.fromarray((picture + noise).clip(0, 255).astype(np.uint8))
    return shot.convert("L").convert("RGB") if is_grey else shot


def _lambert(x: _Map, y: _Map, pose: Pose, rng: np.random.Generator) -> _Map:
    """Return the brightness (size, size, 1) of an ellipsoid under one lamp; 1 is full light."""
    azimuth, elevation = rng.uniform(-1.1, 1.1), rng.uniform(-0.1, 0.8)
    lamp = (
        np.sin(azimuth) * np.cos(elevation),
        -np.sin(elevation),
        np.cos(azimuth) * np.cos(elevation),
    )
    ambient = rng.uniform(0.55, 0.9)
    across = (x - pose.centre[0] / OVERSAMPLE) * OVERSAMPLE / pose.scale
    down = (y - pose.centre[1] / OVERSAMPLE) * OVERSAMPLE / pose.scale
    cos, sin = np.float32(np.cos(pose.roll)), np.float32(np.sin(pose.roll))
    u, v = (across * cos + down * sin) / 0.9, (down * cos - across * sin) / 1.25
    radius = np.sqrt(u * u + v * v)
    rim = np.maximum(radius, 1)
    facing = np.sqrt(np.maximum(1 - (radius / rim) ** 2, 0))
    direct = np.maximum((u * lamp[0] + v * lamp[1]) / rim + facing * lamp[2], 0)
    return (ambient + (1.18 - ambient) * direct + 0.08 * direct**12)[..., None].astype(np.float32)


def _backdrop(x: _Map, y: _Map, rng: np.random.Generator) -> _Map:
    """Return a soft two-colour gradient with a blurred window of light (size, size, 3), 0..255."""
    hue, saturation, value = rng.uniform(), rng.uniform(0.05, 0.4), rng.uniform(0.3, 0.95)
    first = np.array(colorsys.hsv_to_rgb(hue, saturation, value)) * 255
    second = first * rng.uniform(0.6, 1.0) + rng.uniform(-10, 10, 3)
    angle = rng.uniform(0, 2 * np.pi)
    slope = 0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    spot = np.exp(-(((x - rng.uniform()) ** 2 + (y - rng.uniform()) ** 2) / rng.uniform(0.02, 0.2)))
    share = (slope + 0.5 * rng.choice((-1, 1)) * spot).astype(np.float32)[..., None]
    return first.astype(np.float32) + (second - first).astype(np.float32) * share
