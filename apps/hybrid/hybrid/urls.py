"""Django's addresses."""

from django.contrib import admin
from django.urls import path

from hybrid import views

urlpatterns = [
    path("", views.page, name="page"),
    path("habits", views.Habits.as_view()),
    path("habits/<int:habit_id>", views.OneHabit.as_view()),
    path("habits/<int:habit_id>/checkins", views.check_in),
    path("similar", views.similar),
    path("health", views.health),
    path("ready", views.ready),
    path("admin/", admin.site.urls),
]
