"""Classical Riemannian classifiers of EEG covariances, from pyriemann: MDM, tangent space with logistic regression."""
