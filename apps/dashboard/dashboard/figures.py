"""The plots. Each takes a snapshot and returns a figure; none knows where the data came from."""

from collections import Counter

import plotly.graph_objects as go

from dashboard.data import Snapshot

PALETTE = ("#2f6f4f", "#c8702a", "#3b6ea8", "#9a4f96", "#b5a12c", "#4aa3a2", "#b3443c", "#6b7a8f")
"""Told apart without colour vision as well: the lightness differs from neighbour to neighbour."""
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
    figure.update_xaxes(rangemode="tozero", gridcolor=LINE, title="days")
    figure.update_yaxes(showgrid=False, automargin=True, title=None)
    return figure


def _coloured(snapshot: Snapshot) -> list[tuple[object, str]]:
    # A colour stays with its habit, whichever others are shown.
    return [(habit, PALETTE[habit.id % len(PALETTE)]) for habit in snapshot.habits]


def _figure(traces: list[object], snapshot: Snapshot | None, **layout: object) -> go.Figure:
    figure = go.Figure(traces)
    figure.update_layout(
        template="none",
        height=300,
        margin={"l": 36, "r": 8, "t": 8, "b": 32},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        legend={"orientation": "h", "y": -0.18, "yanchor": "top", "x": 0},
        hoverlabel={"bgcolor": "#fff"},
        # What a user has zoomed into stays through the next refresh.
        uirevision="kept",
        **layout,
    )
    figure.update_yaxes(rangemode="tozero", gridcolor=LINE, zeroline=False, tickformat="d")
    figure.update_xaxes(showgrid=False, zeroline=False)
    if snapshot:
        figure.update_xaxes(type="date", tickformat="%d %b", nticks=8)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
