"""The shop's settings with one more URL."""

from project.settings import *  # noqa: F403 - the usual way to extend Django's settings

ROOT_URLCONF = "baseline"
