"""What families of independent columns share: given its component, columns are independent."""
