"""The core: from a question to a cited answer. Knows no platform and no platform's library."""
