from flask import Blueprint, redirect, render_template, request, url_for

from hello.extensions import db
from hello.page.models import Entry

page = Blueprint("page", __name__, template_folder="templates")


@page.get("/")
def home():
    entries = db.session.scalars(db.select(Entry).order_by(Entry.id.desc()))
    return render_template("page/home.html", entries=entries)


@page.post("/entries")
def sign():
    from hello.page.tasks import count_words

    entry = Entry(text=request.form["text"])
    db.session.add(entry)
    db.session.commit()
    count_words.delay(entry.id)

    return redirect(url_for("page.home"))
