"""The benchmark behind `bin/bench`."""
