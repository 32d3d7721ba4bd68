"""From the model of a run to the champion."""
