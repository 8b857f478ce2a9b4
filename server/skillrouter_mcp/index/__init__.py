"""What is remembered of the skills: the database, and the words and vectors searched in it."""
