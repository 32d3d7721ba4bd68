"""The stages of `dvc.yaml`, and what runs them."""
