"""What to do for each churned user tonight: the catalogue, the arms, the prices and the decision."""
