"""Detects people in pairs that nobody annotated: images, folders, videos."""
