"""The engine for machines without one: a stack's services as supervised local processes.

It runs the same merged model as a container engine, with `docker-compose.native.yml` as one more
overlay. `monitor` is the process beside each service, `service` what the others know of it,
`processes` the project's services together, `commands` what is done with them.
"""
