"""A strict client that loads a stack at a steady pace while the stack is being changed.

* Open loop: requests are due by a schedule, whatever became of those before, and a latency counts
  from when the request was due. A stall shows as what it costs, not as fewer requests.
* Nothing is ever repeated. What doesn't end in the wished answer is one failure, of one kind.
* A write counts as acknowledged once its whole answer was read; each goes to a file by id and
  name, and each whose outcome nobody was told, too.
* Streams of events are followed as a browser does, with Last-Event-ID: each event is lost, doubled
  or neither. WebSockets get an echo for each message, and an end that says that it is one.
* Memory is bounded: counts and histograms, by phase.

``python -m benchmarks.steady URL …`` runs it; ``driver.running`` runs it in a process of its own.
"""
