"""Property tests here are about logic, not speed: a busy machine must not fail them."""

from hypothesis import settings

settings.register_profile("reprise", deadline=None)
settings.load_profile("reprise")
