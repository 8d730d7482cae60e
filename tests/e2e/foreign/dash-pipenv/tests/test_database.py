import unittest
from datetime import date

import database


class DatabaseTest(unittest.TestCase):
    def setUp(self):
        database.prepare()
        with database.connect() as connection:
            connection.execute("TRUNCATE visits")

    def test_a_new_day_begins_with_one(self):
        database.add(date(2024, 2, 29))
        self.assertEqual(database.by_day(), {"2024-02-29": 1})

    def test_visits_of_a_day_are_added_up(self):
        database.add(date(2024, 3, 1))
        database.add(date(2024, 3, 1))
        self.assertEqual(database.by_day(), {"2024-03-01": 2})
