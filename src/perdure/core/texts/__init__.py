"""What texts say, for engines that may not know each other: folding, words, numbers, claims, refusals. Pure functions."""
