"""Threadlore beside a bare bot on the same loopback servers, in one run: figures as ratios."""
