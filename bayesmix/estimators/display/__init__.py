"""What is shown while a fit runs, and of its answer."""
