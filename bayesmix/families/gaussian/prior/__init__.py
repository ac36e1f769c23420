"""Priors of Gaussian components: Normal-Wishart, its scale, defaults, a user's words."""
