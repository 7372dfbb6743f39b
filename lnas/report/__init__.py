"""Floor 3: from the files of a run to tables, plots and one HTML page."""
