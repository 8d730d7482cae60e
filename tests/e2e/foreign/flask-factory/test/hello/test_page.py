from hello.page.models import Entry
from hello.page.tasks import count_words


class TestPage:
    def test_home_page(self, client, db):
        """Home page should respond with a success 200."""
        assert client.get("/").status_code == 200

    def test_sign(self, client, db):
        """A new entry should be on the home page."""
        client.post("/entries", data={"text": "a short visit"})

        assert b"a short visit" in client.get("/").data

    def test_count_words(self, client, db):
        """The task should count words."""
        entry = Entry(text="one two three")
        db.session.add(entry)
        db.session.commit()

        assert count_words.run(entry.id) == 3
