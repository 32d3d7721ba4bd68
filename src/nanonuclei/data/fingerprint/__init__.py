"""What the training images of a model look like, kept in its folder, and how far other images are from them."""
