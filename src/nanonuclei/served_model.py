"""What MLflow runs to get the model: it executes this file, see "models from code" in its documentation."""

import mlflow

from nanonuclei.serving.model import ObjectModel

mlflow.models.set_model(ObjectModel())
