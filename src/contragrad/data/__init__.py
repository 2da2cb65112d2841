"""Images: checked arrays in, training, validation and test examples out."""
