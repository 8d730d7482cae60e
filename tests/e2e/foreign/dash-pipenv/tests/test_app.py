import unittest

from app import draw, server


class PageTest(unittest.TestCase):
    def test_the_page_is_served(self):
        self.assertIn("Visits", server.test_client().get("/").text)

    def test_a_click_is_a_visit(self):
        before = sum(draw(None)["data"][0]["y"])
        self.assertEqual(sum(draw(1)["data"][0]["y"]), before + 1)
