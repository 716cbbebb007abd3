"""Images of some classes to train on, and of the other classes to see what the features are worth there."""
