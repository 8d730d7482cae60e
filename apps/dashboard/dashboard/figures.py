"""The plots. Each takes a snapshot and returns a figure; none knows where the data came from."""

from collections import Counter

import plotly.graph_objects as go

from dashboard.data import Habit, Snapshot

PALETTE = ("#2f6f4f", "#c8702a", "#3b6ea8", "#9a4f96", "#b5a12c", "#4aa3a2", "#b3443c", "#6b7a8f")
"""Told apart without colour vision as well: the lightness differs from neighbour to neighbour."""
HEIGHT = 300
"""In CSS pixels; the width is the page's."""
INK, LINE = "#24312b", "#e4e9e4"


def checkins_per_day(snapshot: Snapshot) -> go.Figure:
    """Return how many habits were kept on each day, stacked by habit."""
    kept = Counter(snapshot.checkins)
    days = snapshot.days
    return _figure(
        [
            go.Bar(
                name=habit.name,
                x=days,
                y=[kept[habit.id, day] for day in days],
                marker={"color": colour},
                hovertemplate="%{x|%a %d %b}<extra>%{fullData.name}</extra>",
            )
            for habit, colour in _coloured(snapshot)
        ],
        snapshot,
        highest=max(Counter(day for _, day in snapshot.checkins).values(), default=0),
        barmode="stack",
        bargap=0.25,
    )


def streaks(snapshot: Snapshot) -> go.Figure:
    """Return the length of each habit's streak on each day."""
    lengths = {(habit, day): length for habit, day, length in snapshot.streaks}
    days = snapshot.days
    return _figure(
        [
            go.Scatter(
                name=habit.name,
                x=days,
                y=[lengths.get((habit.id, day), 0) for day in days],
                mode="lines+markers",
                line={"color": colour, "width": 2.5},
                marker={"size": 5},
                hovertemplate="%{x|%a %d %b}: %{y} days<extra>%{fullData.name}</extra>",
            )
            for habit, colour in _coloured(snapshot)
        ],
        snapshot,
        highest=max(lengths.values(), default=0),
    )


def records(snapshot: Snapshot) -> go.Figure:
    """Return each habit's streak of today over its longest."""
    habits = snapshot.habits[::-1]
    names = [_short(habit.name) for habit in habits]
    figure = _figure(
        [
            go.Bar(
                name="longest",
                y=names,
                x=[habit.longest for habit in habits],
                orientation="h",
                marker={"color": "#d5e2d8"},
                hovertemplate="%{y}: longest %{x} days<extra></extra>",
            ),
            go.Bar(
                name="now",
                y=names,
                x=[habit.streak for habit in habits],
                orientation="h",
                width=0.4,
                marker={"color": PALETTE[0]},
                hovertemplate="%{y}: now %{x} days<extra></extra>",
            ),
        ],
        None,
        barmode="overlay",
        bargap=0.35,
    )
    figure.update_xaxes(rangemode="tozero", gridcolor=LINE, tickformat="d", nticks=6)
    figure.update_yaxes(showgrid=False, automargin=True, ticksuffix="  ")
    return figure


def _coloured(snapshot: Snapshot) -> list[tuple[Habit, str]]:
    # A colour stays with its habit, whichever others are shown.
    return [(habit, PALETTE[habit.id % len(PALETTE)]) for habit in snapshot.habits]


def _figure(
    traces: list[object], snapshot: Snapshot | None, highest: int = 0, **layout: object
) -> go.Figure:
    figure = go.Figure(traces)
    figure.update_layout(
        template="none",
        margin={"l": 36, "r": 8, "t": 8, "b": 32},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        legend={"orientation": "h", "y": -0.18, "yanchor": "top", "x": 0, "traceorder": "normal"},
        # Of a single habit, too.
        showlegend=True,
        hoverlabel={"bgcolor": "#fff"},
        # What a user has zoomed into stays through the next refresh.
        uirevision="kept",
        **layout,
    )
    figure.update_yaxes(rangemode="tozero", gridcolor=LINE, zeroline=False)
    figure.update_xaxes(showgrid=False, zeroline=False)
    if snapshot:
        # Never half a day, nor half a check-in.
        figure.update_xaxes(type="date", tickformat="%d %b", nticks=8)
        figure.update_yaxes(tickformat="d", minallowed=0, dtick=_step(highest))
    return figure


def _step(highest: int) -> int:
    """Return the whole number that some five lines of the grid are apart."""
    return next((step for step in (1, 2, 5, 10, 20, 50, 100) if highest <= 6 * step), 1000)


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
