"""Complete trees as finite metric spaces."""
