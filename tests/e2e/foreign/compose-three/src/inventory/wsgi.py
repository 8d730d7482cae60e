import os
import urllib.error
import urllib.request

from flask import Flask, Response, abort, redirect, render_template, request
from redis import Redis
from rq import Queue
from sqlalchemy import select
from sqlalchemy.orm import Session

from inventory.database import Part, engine
from inventory.jobs import make_label
from inventory.rqsettings import REDIS_URL

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
labels = Queue("labels", connection=Redis.from_url(REDIS_URL))


@app.get("/healthz")
def healthz():
    return {"status": "ok"}


@app.get("/")
def index():
    with Session(engine) as session:
        parts = session.scalars(select(Part).order_by(Part.id)).all()
        return render_template("index.html", parts=parts)


@app.post("/parts")
def add():
    with Session(engine) as session:
        part = Part(name=request.form["name"])
        session.add(part)
        session.commit()
        labels.enqueue(make_label, part.id, part.name)
    return redirect("/")


@app.get("/labels/<int:part_id>.svg")
def label(part_id):
    try:
        with urllib.request.urlopen(f"{os.environ['STORE_URL']}/{part_id}.svg") as answer:
            return Response(answer.read(), mimetype="image/svg+xml")
    except urllib.error.HTTPError:
        abort(404)
