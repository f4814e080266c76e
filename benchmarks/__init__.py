"""Benchmarks of Relevo against the bare parts that it is made of.

`make bench` runs all of them in one go and writes `bench.json`. None of them is a test:
a figure is a measurement, and a goal is the value that it should have.
"""
