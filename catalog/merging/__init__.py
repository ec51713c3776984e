"""Makes one song, artist or release of two. Start reading at `merging`."""

from catalog.merging.merging import Merging

__all__ = ["Merging"]
