"""q(μ, Λ) in uncorrelated coordinates of unit variance."""
