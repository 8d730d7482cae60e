from datetime import date

from dash import Dash, Input, Output, dcc, html
from flask import jsonify

import database

app = Dash(__name__, title="Visits")
server = app.server

database.prepare()

app.layout = html.Div(
    [
        html.H1("Visits"),
        html.Button("I came", id="came"),
        dcc.Graph(id="visits"),
    ]
)


@app.callback(Output("visits", "figure"), Input("came", "n_clicks"))
def draw(clicks):
    if clicks:
        database.add(date.today())
    found = database.by_day()
    return {"data": [{"type": "bar", "x": list(found), "y": list(found.values())}]}


@server.get("/visits.json")
def visits():
    return jsonify(database.by_day())


if __name__ == "__main__":
    app.run(debug=True, host="0.0.0.0", port=8050)
