"""Logistic and softmax regression on tables: LIBSVM files and the sets that come with scikit-learn."""
