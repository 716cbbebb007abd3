"""Features of images under a fixed network of torchvision or timm."""
