"""The model as MLflow stores, loads and serves it: images in, objects out, without repository and without Keras."""
