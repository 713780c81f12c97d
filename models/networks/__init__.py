"""Published networks under the names that the command line takes."""
