"""The verbs in a row: enhance, super-resolve, master."""
