"""The page: drop an image, see its objects, change how they are read, take them along. No Keras, no MLflow."""
