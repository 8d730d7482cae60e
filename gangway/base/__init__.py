"""What everything stands on: errors, output, running programs, locks."""
