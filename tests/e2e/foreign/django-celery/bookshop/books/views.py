from functools import partial

from django.db import transaction
from django.views.generic import CreateView
from django.views.generic import DetailView

from bookshop.books.models import Book
from bookshop.books.models import Stock
from bookshop.books.tasks import count_letters


class BookCreateView(CreateView):
    model = Book
    fields = ["title", "cover"]
    extra_context = {
        "books": Book.objects.order_by("-pk"),
        "stock": Stock.objects.order_by("-pk"),
    }

    def form_valid(self, form):
        response = super().form_valid(form)
        transaction.on_commit(partial(count_letters.delay, self.object.pk))
        return response


class BookDetailView(DetailView):
    model = Book
