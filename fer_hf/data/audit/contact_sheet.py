"""Contact sheets: many small pictures with a caption each, as one image."""

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
    """Lay pictures out in a grid, row by row, on white; return an RGB image.

    Args:
        pictures: Any modes and sizes; each is fitted into its square whole and undistorted.
        captions: One line of text under each picture; too long ones end in "…".
        columns: Pictures in a row; fewer pictures than that make a narrower sheet.
        cell: Side of the squares in pixels.
        title: One line above the grid.

    Raises:
        ValueError: No pictures, captions of another number, or `columns` or `cell` too small.
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
    gap = max(4, cell // 12)
    font, title_font = (ImageFont.load_default(size=max(9, cell // n)) for n in (8, 6))
    above = gap if title is None else 2 * gap + _line_height(title_font)
    step = cell + gap + (0 if captions is None else _line_height(font) + 2)

    width = gap + columns * (cell + gap)
    height = above + -(-len(pictures) // columns) * step
    sheet = Image.new("RGB", (width, height), _WHITE)
    ink = ImageDraw.Draw(sheet)
    if title is not None:
        line = _shorten(title, title_font, width - 2 * gap)
        ink.text((gap, gap), line, fill=_INK, font=title_font)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        left, top = gap + column * (cell + gap), above + row * step
        fitted = ImageOps.pad(
            _on_white(picture), (cell, cell), Image.Resampling.LANCZOS, color=_WHITE
        )
        sheet.paste(fitted, (left, top))
        if captions is not None:
            text = _shorten(captions[index], font, cell)
            ink.text((left + cell / 2, top + cell + 2), text, fill=_INK, font=font, anchor="ma")
    return sheet


def _on_white(picture: Image.Image) -> Image.Image:
    """Return the picture in RGB, with white behind whatever is transparent."""
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
