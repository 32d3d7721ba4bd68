"""Random changes of training patches.

`geometry` moves image and labels alike, `sizes` draws the zoom, `looks` and `grey_values` change the image alone,
`empty_fields` makes images that show no nucleus.
"""
