"""Images of a catalogue data set as one set to be clustered; labels serve for scoring alone."""
