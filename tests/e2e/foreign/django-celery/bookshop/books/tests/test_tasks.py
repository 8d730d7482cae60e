import pytest

from bookshop.books.models import Book
from bookshop.books.models import Stock
from bookshop.books.tasks import count_letters
from bookshop.books.tasks import take_stock

pytestmark = pytest.mark.django_db


def test_count_letters():
    book = Book.objects.create(title="War & Peace")
    assert count_letters.delay(book.pk).result == 8


def test_take_stock():
    Book.objects.create(title="Emma")
    take_stock()
    assert Stock.objects.get().books == 1
