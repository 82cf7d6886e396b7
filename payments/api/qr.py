"""QR codes as SVG."""

import io

import segno


def draw_qr(content: str) -> str:
    """The content as a QR code: an SVG element of fixed size.

    It is black on white whatever the page's colours are, since cameras need the contrast.
    """
    drawn = io.BytesIO()
    segno.make_qr(content, error="m").save(
        drawn, kind="svg", xmldecl=False, border=4, dark="#000", light="#fff", omitsize=True
    )
    return drawn.getvalue().decode()
