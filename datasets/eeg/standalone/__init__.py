"""The EEG simulator as a data set of its own (`data=eeg_twin`), with every size free."""
