from invoke import task


@task
def up(c):
    """Start everything."""
    c.run("docker compose up --build --detach", pty=True)


@task
def test(c, k=""):
    """Run the tests in the web container."""
    c.run(f"docker compose run --rm web pytest -k '{k}'", pty=True)


@task
def lock(c):
    """Lock the requirements."""
    for name in ("requirements", "requirements-dev"):
        c.run(f"uv pip compile --universal --generate-hashes {name}.in -o {name}.txt")
