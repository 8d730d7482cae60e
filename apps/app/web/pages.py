"""The pages: each form posts, and is answered by a redirect to the list."""

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask_wtf.csrf import CSRFError  # type: ignore[import-untyped]
from werkzeug.wrappers import Response

from web.client import Api, ApiAway, ApiRefused

pages = Blueprint("pages", __name__)


@pages.get("/")
def index() -> str:
    """List the habits."""
    return render_template("habits.html", habits=_api().habits())


@pages.post("/habits")
def add() -> Response:
    """Add a habit."""
    _api().add(request.form.get("name", ""))
    return _to_list()


@pages.post("/habits/<int:habit_id>/checkins")
def check_in(habit_id: int) -> Response:
    """Check in for today."""
    _api().check_in(habit_id)
    return _to_list()


@pages.post("/habits/<int:habit_id>/delete")
def delete(habit_id: int) -> Response:
    """Delete a habit."""
    _api().delete(habit_id)
    return _to_list()


@pages.app_errorhandler(ApiRefused)
def refused(error: ApiRefused) -> Response:
    """Show the API's reason above the list."""
    flash(str(error))
    return _to_list()


@pages.app_errorhandler(CSRFError)
def expired(error: CSRFError) -> tuple[str, int]:
    """A form that is not of our making, or from a session that is over."""
    text = "This form is no longer valid. Load the page again and repeat what you did."
    return render_template("error.html", title="Please try again", text=text), 400


@pages.app_errorhandler(ApiAway)
def away(error: ApiAway) -> tuple[str, int, dict[str, str]]:
    """The pages live, the API does not."""
    current_app.logger.error("%s: %s", error, error.__cause__ or "that is what it answers")
    text = "Your habits cannot be reached right now. Try again in a moment."
    page = render_template("error.html", title="Back in a moment", text=text)
    return page, error.status, {"Retry-After": "5"}


def _api() -> Api:
    api: Api = current_app.extensions["api"]
    return api


def _to_list() -> Response:
    return redirect(url_for("pages.index"), 303)
