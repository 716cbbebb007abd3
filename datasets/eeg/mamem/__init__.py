"""MAMEM-SSVEP-II as preprocessed by the authors of GBW-BN; see config.py for the facts and adapter.py for the loading."""
