"""Study files that ship with the package, and the definitions of the paper's tables and figures."""
