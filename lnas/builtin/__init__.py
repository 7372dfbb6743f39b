"""Floor 1: concrete parts, registered through the same hooks as any plugin.  Imports the core only."""
