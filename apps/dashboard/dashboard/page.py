"""The page: its layout, and the one callback that fills it."""

import logging
from typing import Any

import plotly.graph_objects as go
from dash import Dash, Input, Output, dcc, html, no_update

from dashboard import figures
from dashboard.data import Data, DatabaseAway, Snapshot

PERIODS = {14: "2 weeks", 30: "30 days", 90: "90 days"}
DEFAULT_PERIOD = 30
REFRESH_SECONDS = 15
AWAY = "The habits cannot be reached right now. This page tries again by itself."
PLOTS = {
    "checkins": ("Check-ins per day", figures.checkins_per_day),
    "streaks": ("Streaks over time, in days", figures.streaks),
    "records": ("Streaks now, and the longest, in days", figures.records),
}
# No address of anybody else's, and no button that would send a plot there.
CONFIG: Any = {"displaylogo": False, "displayModeBar": False}

log = logging.getLogger(__name__)


def layout() -> html.Div:
    """Return the page before there is anything in it."""
    return html.Div(
        [
            html.Header([html.H1("Habits"), html.P("How well they are kept, day by day.")]),
            html.Div(id="message", role="alert", className="message", hidden=True),
            html.Section(
                [
                    html.Div(
                        [
                            html.Label("Habits", htmlFor="habits"),
                            dcc.Dropdown(id="habits", multi=True, placeholder="all of them"),
                        ],
                        className="field wide",
                    ),
                    html.Div(
                        [
                            html.Label("Period", htmlFor="period"),
                            dcc.RadioItems(
                                id="period",
                                options=[
                                    {"label": label, "value": days}
                                    for days, label in PERIODS.items()
                                ],
                                value=DEFAULT_PERIOD,
                                className="choices",
                            ),
                        ],
                        className="field",
                    ),
                ],
                className="filters",
            ),
            html.Section(id="tiles", className="tiles"),
            html.Div(
                [
                    html.Section(
                        [
                            html.H2(title),
                            dcc.Graph(
                                id=name,
                                config=CONFIG,
                                figure=_empty(),
                                responsive=True,
                                style={"height": f"{figures.HEIGHT}px"},
                            ),
                        ],
                        className=f"card {name}",
                    )
                    for name, (title, _) in PLOTS.items()
                ],
                className="plots",
            ),
            dcc.Interval(id="tick", interval=REFRESH_SECONDS * 1000),
        ],
        className="page",
    )


def connect(app: Dash, data: Data) -> None:
    """Fill the page from `data`, now and at every tick and change of the filter."""

    @app.callback(
        Output("message", "children"),
        Output("message", "hidden"),
        Output("habits", "options"),
        Output("tiles", "children"),
        *(Output(name, "figure") for name in PLOTS),
        Input("habits", "value"),
        Input("period", "value"),
        Input("tick", "n_intervals"),
    )
    def fill(chosen: list[int] | None, period: int, _ticks: int | None) -> tuple[Any, ...]:
        try:
            whole = data.snapshot(period if period in PERIODS else DEFAULT_PERIOD)
        except DatabaseAway:
            # What is on the page stays there.
            return (AWAY, False, *[no_update] * (2 + len(PLOTS)))
        options = [{"label": habit.name, "value": habit.id} for habit in whole.habits]
        shown = whole.only(_numbers(chosen))
        plots = [draw(shown) for _, draw in PLOTS.values()]
        return ("", True, options, tiles(shown), *plots)


def tiles(snapshot: Snapshot) -> list[html.Div]:
    """Return the figures that are read at a glance."""
    habits = snapshot.habits
    if not habits:
        return [html.Div("No habits yet. Add the first one, and it is shown here.")]
    possible = len(habits) * len(snapshot.days)
    best = max(habits, key=lambda habit: habit.streak)
    numbers = {
        "done today": f"{sum(habit.done_today for habit in habits)} of {len(habits)}",
        "check-ins": str(len(snapshot.checkins)),
        "of all days kept": f"{100 * len(snapshot.checkins) / possible:.0f} %",
        f"longest now: {best.name}" if best.streak else "longest now": f"{best.streak} d",
    }
    return [
        html.Div([html.Strong(number), html.Span(name)], className="tile")
        for name, number in numbers.items()
    ]


def _numbers(chosen: Any) -> list[int]:
    """Return the habits' numbers in what a browser sent."""
    return [each for each in chosen if isinstance(each, int)] if isinstance(chosen, list) else []


def _empty() -> go.Figure:
    figure = go.Figure()
    figure.update_layout(template="none", xaxis={"visible": False}, yaxis={"visible": False})
    return figure
