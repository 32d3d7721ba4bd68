"""Networks, losses and optimizers: functions that return Keras objects."""
