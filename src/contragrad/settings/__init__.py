"""A study's settings: the names they choose from, what is refused of them, study files and options."""
