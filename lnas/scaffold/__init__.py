"""Begins a plugin: a distribution with a part that works, its test, and what its author does next."""
