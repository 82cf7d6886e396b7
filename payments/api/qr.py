"""QR codes as SVG."""

import io

import segno


def draw_qr(content: str) -> str:
    """An SVG element with a fixed size, black on white whatever the page's colours are: cameras need the
    contrast.
    """
    drawn = io.BytesIO()
    segno.make_qr(content, error="m").save(
        drawn, kind="svg", xmldecl=False, border=4, dark="#000", light="#fff", omitsize=True
    )
    return drawn.getvalue().decode()
