"""Floor 0: the interfaces, and the one loop.  Imports torch and the standard library only."""
