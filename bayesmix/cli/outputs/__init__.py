"""What a command leaves: lines on the screen, files, figures."""
