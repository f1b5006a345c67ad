"""Networks, their training, and the shipped weights and avatars."""
