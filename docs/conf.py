"""How Sphinx builds the documentation; `make docs` builds it with warnings as errors.

Sphinx with furo and MyST, not mkdocs-material: that one's life ends in May 2027 (release notes of 9.8.1), its
successor Zensical is at 0.1, and MkDocs has had no release since 2024. Sphinx reads docstrings and checks
references.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import contragrad  # noqa: E402

project = "contragrad"
author = "the authors of contragrad"
release = version = contragrad.__version__
html_title = f"contragrad {release}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "docstrings",
    "mathml",
    "written",
]
exclude_patterns = ["_build", "_written"]
default_role = "code"  # docstrings write code in single backticks

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"top_of_page_buttons": []}
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "friendly"
