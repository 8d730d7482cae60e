from inventory.jobs import draw


def test_a_label_is_an_svg():
    assert draw("a & b") == b"<svg xmlns='http://www.w3.org/2000/svg'><text>a &amp; b</text></svg>"
