"""Real two-class sets that a hyperplane separates: pairs of digits, breast cancer."""
