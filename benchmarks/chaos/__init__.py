"""What is left of a run when something goes wrong: `python -m benchmarks.chaos NAME [--count N] [--seed S]`."""
