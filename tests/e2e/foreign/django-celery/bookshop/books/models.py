from django.db import models
from django.urls import reverse


class Book(models.Model):
    title = models.CharField(max_length=200)
    cover = models.FileField(upload_to="covers/", blank=True)
    letters = models.IntegerField(null=True, editable=False)

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("books:detail", kwargs={"pk": self.pk})


class Stock(models.Model):
    """How many books there were, and when."""

    taken = models.DateTimeField(auto_now_add=True)
    books = models.IntegerField()
