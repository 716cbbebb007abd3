"""Images of handwritten digits in memory: scikit-learn's 8 x 8 ones, and MNIST."""
