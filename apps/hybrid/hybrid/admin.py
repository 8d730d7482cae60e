"""The habits in Django's admin."""

from django.contrib import admin

from hybrid.models import Habit


@admin.register(Habit)
class HabitAdmin(admin.ModelAdmin):
    """List, add, rename and delete habits."""

    list_display = ("name", "created_at")
    search_fields = ("name",)
