"""Measurements, as ratios against a reference of the same process: `python -m benchmarks [NAME...] [--json] [--quick]`.

Absolute times mean nothing on another machine.  Variants are interleaved, warmed up, compared pair by pair, and the median of
the ratios counts; lower is better.  The reference is DARTS as it was published (`reference`, `reference_search`).
"""
