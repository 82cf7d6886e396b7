#!/usr/bin/env python3
import os
import sys

from django.core.management import execute_from_command_line

from worker.memory import collect_seldom

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    collect_seldom()
    execute_from_command_line(sys.argv)
