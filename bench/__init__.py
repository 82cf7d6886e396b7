"""The measuring instrument behind `bin/bench`."""
