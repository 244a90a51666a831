"""What the train and evaluate modules share; nothing that the app loads."""
