"""How fast Relevo is, next to the bare parts that it is made of.

`make bench` runs everything in one go and writes `bench.json`. Nothing here is a
test: a figure says what it is, a goal says what it should be.
"""
