import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from bookshop.books.models import Book

pytestmark = pytest.mark.django_db


class TestBookCreateView:
    def test_get(self, client):
        assert client.get(reverse("books:list")).status_code == 200

    def test_post(self, client, django_capture_on_commit_callbacks):
        cover = SimpleUploadedFile("cover.svg", b"<svg/>")
        with django_capture_on_commit_callbacks(execute=True):
            response = client.post("/", {"title": "Emma", "cover": cover})

        book = Book.objects.get()
        assert response["Location"] == book.get_absolute_url()
        assert book.letters == 4
        assert book.cover.read() == b"<svg/>"
