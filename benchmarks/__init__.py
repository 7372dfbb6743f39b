"""Measurements, as ratios against a reference of the same process: `python -m benchmarks [NAME...] [--json] [--quick]`.

Absolute times mean nothing on another machine.  Variants are interleaved, warmed up, and compared by medians.
"""
