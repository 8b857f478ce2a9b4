"""One process owns an index: it alone holds models, writes and watches. Others ask it."""
