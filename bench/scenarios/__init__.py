"""What is measured.

Each scenario speaks HTTP and SQL only, so that it can be pointed at any checkout of the project.
"""
