"""Methods: one folder per paper, plus the mathematics (`geometry`) and layers (`nn`) they share."""
