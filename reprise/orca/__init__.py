"""Generated from protos/ by scripts/gen; never edited."""
