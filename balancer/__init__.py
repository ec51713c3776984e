"""The lookaside balancer: answers which edges a listener should ask, with a grant for each. No audio passes through it."""
