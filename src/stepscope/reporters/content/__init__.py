"""What several formats say alike: safe text, paths, source excerpts, the summary."""
