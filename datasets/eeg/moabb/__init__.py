"""Any data set of MOABB, with MOABB's own preprocessing and splitters; catalog.json makes the folds countable offline."""
