"""Where runs come from: data, code, parents, and how to bring their state back."""
