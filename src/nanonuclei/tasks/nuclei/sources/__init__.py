"""The Data Science Bowl 2018 and datasets laid out like it: files, masks, samples, and how they are fetched."""
