from django.contrib import admin

from bookshop.books.models import Book

admin.site.register(Book)
