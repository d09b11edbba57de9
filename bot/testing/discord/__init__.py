"""The parts of the loopback Discord: what it holds, its REST API and its gateway. See bot.testing.discord_server."""
