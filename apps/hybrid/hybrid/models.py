"""The tables that FastAPI has too; Alembic makes and changes them (apps/api/migrations)."""

from django.db import models
from django.db.models.functions import Now


class Habit(models.Model):
    """Something to be done every day."""

    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        managed = False
        db_table = "habits"
        ordering = ("name",)

    def __str__(self) -> str:
        return str(self.name)


class Checkin(models.Model):
    """A day on which a habit was kept."""

    pk = models.CompositePrimaryKey("habit_id", "day")
    habit = models.ForeignKey(Habit, models.CASCADE, related_name="checkins")
    day = models.DateField()

    class Meta:
        managed = False
        db_table = "checkins"

    def __str__(self) -> str:
        return f"{self.habit} on {self.day}"
