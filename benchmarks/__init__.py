"""What Gangway costs, measured beside a floor that no tool can beat: `nox -s bench`."""
