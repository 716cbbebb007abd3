"""Small graphs for tests of expressive power: all connected ones on seven or eight vertices, and the pairs of EXP."""
