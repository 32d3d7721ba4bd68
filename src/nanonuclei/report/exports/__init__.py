"""What is written of the objects of one image: measures, tables, outlines, labels, pictures. One file per format."""
