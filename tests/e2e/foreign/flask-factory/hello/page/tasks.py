from celery import shared_task

from hello.extensions import db
from hello.page.models import Entry


@shared_task
def count_words(entry_id):
    """
    Count the words of an entry.

    :param entry_id: Entry's primary key
    :return: Number of words
    """
    entry = db.session.get(Entry, entry_id)
    entry.words = len(entry.text.split())
    db.session.commit()

    return entry.words
