from django.urls import path

from bookshop.books import views

app_name = "books"
urlpatterns = [
    path("", view=views.BookCreateView.as_view(), name="list"),
    path("books/<int:pk>/", view=views.BookDetailView.as_view(), name="detail"),
]
