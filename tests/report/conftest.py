from tests.challenge.conftest import metadata

__all__ = ["metadata"]  # the official tables, as a fixture
