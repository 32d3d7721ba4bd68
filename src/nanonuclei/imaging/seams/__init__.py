"""Windows of a large image: how they cover it, and how their objects become whole across the seams."""
