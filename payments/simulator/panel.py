"""The panel: a web page on top of the control API."""

from flask import Blueprint, render_template

blueprint = Blueprint("panel", __name__)


@blueprint.get("/")
def show_panel() -> str:
    return render_template("panel.html")
