"""`invoke --list` shows the tasks; they are in gangway/tasks/."""

from gangway.tasks import namespace

ns = namespace(__file__)
