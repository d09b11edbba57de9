"""The platforms and the ways in: adapters, dispatcher, command line, HTTP edge."""
