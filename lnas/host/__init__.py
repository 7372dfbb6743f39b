"""Floor 2: from names and files to objects.  Imports the core, and names built-in parts as strings only."""
