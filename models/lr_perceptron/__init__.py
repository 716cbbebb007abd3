"""From logistic regression to the perceptron (Tyurin, AAAI 2025): full-batch linear classifiers and the time to separation."""
