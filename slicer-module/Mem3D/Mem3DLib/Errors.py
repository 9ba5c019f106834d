"""Errors that a user can fix, with a message that states how."""


class UserError(Exception):
    """An error that the user can fix; its text states the cause and the remedy."""


class HelperDiedError(UserError):
    """The helper process that runs the engine has ended; the next call starts it again."""
