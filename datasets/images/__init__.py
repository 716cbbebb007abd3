"""Image data: digits, MNIST, CIFAR, Omniglot, folders in the layout of ImageNet, CUB, Cars, Aircraft; a stand-in for each."""
