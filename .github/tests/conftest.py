"""The tests of the machinery."""

pytest_plugins = ["pipeline_fixtures"]
