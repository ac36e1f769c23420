"""What bayesmix costs and finds, side by side with what a user would pick instead."""
