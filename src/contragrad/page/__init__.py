"""`contragrad report`: a run as one page, from plain values to sections, figures and HTML."""
