"""How large an image may be: checked against the header of the file, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from nanonuclei.errors import DataError


@dataclass(frozen=True)
class ImageLimits:
    """What is decoded at most.

    Attributes:
        num_pixels: Height times width of an image.
        num_bytes: All channels of one image together, decoded.
    """

    num_pixels: int = 2**28
    num_bytes: int = 2**33

    def check(self, height: int, width: int, *, bytes_per_pixel: int = 1) -> None:
        """Checks the size of an image.

        Args:
            height: Height, px.
            width: Width, px.
            bytes_per_pixel: Of all channels together.

        Raises:
            DataError: It has no pixels, or more than the limits allow.
        """
        if height < 1 or width < 1:
            raise DataError(f"{width}x{height} px, which is no image. Save it again")
        if height * width > self.num_pixels:
            raise DataError(
                f"{width}x{height} px, more than the {self.num_pixels:,} px that are decoded. Cut it into parts"
            )
        if height * width * bytes_per_pixel > self.num_bytes:
            raise DataError(
                f"{height * width * bytes_per_pixel:,} bytes when decoded, more than the {self.num_bytes:,} that are "
                f"allowed. Save fewer channels, or cut it into parts"
            )


STANDARD = ImageLimits()
"""For files that the user names: a stitched image of 16,384 x 16,384 px."""
