#!/usr/bin/env python3
import os
import sys

from django.core.management import execute_from_command_line

import worker  # noqa: F401 - first of all that is large: makes garbage collections rare

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    execute_from_command_line(sys.argv)
