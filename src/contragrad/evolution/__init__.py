"""Plain values: networks as data and the search over them; torch is not imported here."""
