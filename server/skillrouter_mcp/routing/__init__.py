"""From a request to an ordered, deduplicated, judged list of skills."""
