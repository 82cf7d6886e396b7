"""The shop's settings with one more address."""

from project.settings import *  # noqa: F403 - all of them, by Django's own convention

ROOT_URLCONF = "baseline"
