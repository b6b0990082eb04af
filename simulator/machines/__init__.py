"""The machines that come with the program."""
