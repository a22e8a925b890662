"""Contact sheets: many small pictures with a caption each, as one image.

A room of its own because pictures to look at are wanted in several places: a data source before
training, the surest mistakes after it.
"""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

_WHITE, _INK = (255, 255, 255), (40, 40, 46)


def render_contact_sheet(
    pictures: Sequence[Image.Image],
    captions: Sequence[str] | None = None,
    *,
    columns: int = 10,
    cell: int = 96,
    title: str | None = None,
) -> Image.Image:
    """Lay pictures out in a grid, row by row, on white.

    Args:
        pictures: any modes and sizes; each is fitted into its square whole and undistorted.
        captions: one line of text under each picture; too long ones end in "…".
        columns: pictures in a row; fewer pictures than that make a narrower sheet.
        cell: side of the squares in pixels.
        title: one line above the grid.

    Returns:
        An RGB image.

    Raises:
        ValueError: no pictures, captions of another number, or `columns` or `cell` too small.
    """
    if not pictures:
        raise ValueError("Found no pictures; a contact sheet needs at least one. Pass some.")
    if captions is not None and len(captions) != len(pictures):
        raise ValueError(
            f"Found {len(captions)} `captions` for {len(pictures)} `pictures`. "
            "Pass one caption for each picture, or None."
        )
    if columns < 1 or cell < 16:
        raise ValueError(
            f"Found columns={columns} and cell={cell}, expected columns >= 1 and cell >= 16. "
            "Pass larger numbers."
        )
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    gap = max(4, cell // 12)
    font = ImageFont.load_default(size=max(9, cell // 8))
    title_font = ImageFont.load_default(size=max(12, cell // 6))
    caption_height = _line_height(font) + 2 if captions is not None else 0
    title_height = _line_height(title_font) + gap if title is not None else 0

    width = gap + columns * (cell + gap)
    height = gap + title_height + rows * (cell + caption_height + gap)
    sheet = Image.new("RGB", (width, height), _WHITE)
    ink = ImageDraw.Draw(sheet)
    if title is not None:
        ink.text(
            (gap, gap), _shorten(title, title_font, width - 2 * gap), fill=_INK, font=title_font
        )
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        left = gap + column * (cell + gap)
        top = gap + title_height + row * (cell + caption_height + gap)
        fitted = ImageOps.contain(_on_white(picture), (cell, cell), Image.Resampling.LANCZOS)
        sheet.paste(fitted, (left + (cell - fitted.width) // 2, top + (cell - fitted.height) // 2))
        if captions is not None:
            text = _shorten(captions[index], font, cell)
            ink.text((left + cell / 2, top + cell + 2), text, fill=_INK, font=font, anchor="ma")
    return sheet


def _on_white(picture: Image.Image) -> Image.Image:
    """Give RGB, with white behind whatever is transparent."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, _WHITE), picture).convert("RGB")


def _line_height(font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return round(font.getbbox("Ágj|")[3])


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """Cut a text to one line of at most `width` pixels; what is cut ends in "…"."""
    line = " ".join(text.split())
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"
