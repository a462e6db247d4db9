"""What the features stage knows: which features there are, what each is computed from, and when it may be trusted."""
