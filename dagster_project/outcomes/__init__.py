"""What experiments brought: entries, outcomes, readouts by intention to treat, money, power. No decisions."""
