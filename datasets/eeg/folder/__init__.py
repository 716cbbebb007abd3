"""A folder of one's own recordings as a data set: FIF files, or a BIDS tree of EEG (`data=eeg_folder`)."""
