"""The books, proved in SQL: rules that hold at any moment between two transactions, each a query for the rows
that violate it.

A module for each thing that the rules look at; `run` checks them all.
"""
