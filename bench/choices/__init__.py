"""Choices of the shop that were made by measurement, and the measurement: each setting against what else it could be."""
