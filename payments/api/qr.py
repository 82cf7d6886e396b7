"""A code for scanning, as a picture."""

import io

import segno


def draw_qr(content: str) -> str:
    """An SVG element of its own size, black on white whatever the page's colours are: cameras want the
    contrast.
    """
    drawn = io.BytesIO()
    segno.make_qr(content, error="m").save(
        drawn, kind="svg", xmldecl=False, border=4, dark="#000", light="#fff", omitsize=True
    )
    return drawn.getvalue().decode()
