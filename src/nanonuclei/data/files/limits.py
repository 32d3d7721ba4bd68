"""How large an image may be: checked against the header of the file, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from nanonuclei.errors import DataError

RATIO_FLOOR = 2**26
"""Images below this many bytes may be compressed to any size."""


@dataclass(frozen=True)
class ImageLimits:
    """What is decoded at most.

    Attributes:
        num_pixels: Height times width of an image.
        num_bytes: All channels of one image together, decoded.
        num_pages: Pages of a TIFF; each takes 0.1 ms and 3 kB to look at.
        ratio: Most bytes that one byte of the file may become, in planes above `RATIO_FLOOR`. Deflate ends at 1032.
        parts: Whether an image may be larger, as windows of it are read where the file allows that.
    """

    num_pixels: int = 2**28
    num_bytes: int = 2**33
    ratio: int = 1100
    num_pages: int = 100_000
    parts: bool = False

    def check(self, height: int, width: int, *, bytes_per_pixel: int = 1, packed: int | None = None) -> None:
        """Checks the size of an image.

        Args:
            height: Height, px.
            width: Width, px.
            bytes_per_pixel: Of all channels together.
            packed: Size of the file, bytes; None where it does not bound the image.

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
        unpacked = height * width * bytes_per_pixel
        if packed is not None and unpacked > max(RATIO_FLOOR, self.ratio * packed):
            raise DataError(
                f"{unpacked:,} bytes of pixels in {packed:,} bytes, more than {self.ratio:,} times. Save it again"
            )


IN_PARTS = ImageLimits(parts=True)
"""For images of which windows are read."""

STANDARD = ImageLimits()
"""For files that the user names: a stitched image of 16,384 x 16,384 px."""
