"""winback: ranks lapsed users by the profit that contacting them causes."""
