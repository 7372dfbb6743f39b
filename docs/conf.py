"""The manual: MyST pages, furo's theme, and two pages of reference that are written from the code."""

import sys
from pathlib import Path

import lnas

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "lnas"
author = "The lnas authors"
copyright = author
version = release = lnas.__version__

extensions = ["myst_parser", "lnas_reference"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"lnas {release}"
html_copy_source = False
html_show_copyright = False
