"""The catalog at scale: loading, finding, browsing and remembering, beside what others would use."""
