"""How samples choose their components: mixing weights at a point or with a posterior."""
