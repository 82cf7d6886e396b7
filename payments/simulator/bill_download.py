"""The link that a bill call gives out."""

from flask import Blueprint

blueprint = Blueprint("bills", __name__)
