"""How good a network is: scores of videos, protocols, and what they add up to."""
