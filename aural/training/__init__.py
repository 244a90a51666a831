"""What the train modules share; nothing that the app loads."""
