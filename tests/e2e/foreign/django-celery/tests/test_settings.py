"""Not in an app, as the project is none."""

from django.conf import settings
from django.core.management import call_command


def test_the_settings_are_the_tests_own():
    assert settings.SETTINGS_MODULE == "config.settings.test"


def test_no_migration_is_missing(db):
    call_command("makemigrations", "--check", "--dry-run")
