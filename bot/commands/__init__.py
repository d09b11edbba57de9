"""What each command of the terminal does. Imported only once its command runs: heavy rooms come with it."""
