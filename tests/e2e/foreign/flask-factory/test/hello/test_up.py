import pytest


class TestUp:
    @pytest.mark.parametrize("path", ["/up/", "/up/databases"])
    def test_up(self, client, path):
        """Up should respond with a success 200."""
        assert client.get(path).status_code == 200
