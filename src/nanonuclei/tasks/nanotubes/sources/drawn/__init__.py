"""Centre lines that people drew or corrected in annotation programs, and the dataset that keeps them."""
