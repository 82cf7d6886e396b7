"""A code for scanning, as a picture."""

import segno


def draw_qr(content: str) -> str:
    """An SVG element of its own size, black on white whatever the page's colours are: cameras want the contrast."""
    code = segno.make_qr(content, error="m")
    svg: str = code.svg_inline(border=4, dark="#000", light="#fff", omitsize=True)
    return svg
