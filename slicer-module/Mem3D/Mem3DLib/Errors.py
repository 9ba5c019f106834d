"""What goes wrong for a user, said so that the user can do something about it."""


class UserError(Exception):
    """An error that the user can fix; its text states the cause and the remedy."""


class HelperDiedError(UserError):
    """The helper process that runs the engine has ended; the next call starts it again."""
