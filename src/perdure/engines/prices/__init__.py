"""What calls to generative models cost, from a price list that is inside the package."""
