from celery import shared_task

from bookshop.books.models import Book
from bookshop.books.models import Stock


@shared_task
def count_letters(pk: int) -> int:
    book = Book.objects.get(pk=pk)
    book.letters = sum(letter.isalpha() for letter in book.title)
    book.save()
    return book.letters


@shared_task()
def take_stock() -> int:
    """A periodic task: writes down how many books there are."""
    return Stock.objects.create(books=Book.objects.count()).books
