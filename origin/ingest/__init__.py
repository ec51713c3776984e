"""The import of music: find files, read tags, transcode, sign, upload, publish."""
