from app.backend_pre_start import init


def test_the_database_answers() -> None:
    init()
