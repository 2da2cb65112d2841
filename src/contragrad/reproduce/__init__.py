"""Every table and figure of the paper: definition, study, measures, and published beside measured."""
