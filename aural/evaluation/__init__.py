"""What the evaluate modules share; nothing that the app loads."""
