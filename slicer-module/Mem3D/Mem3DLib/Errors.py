"""What goes wrong for a user, said so that the user can do something about it."""


class UserError(Exception):
    """Something that the user can put right; its text says what, and how."""


class HelperDiedError(UserError):
    """The helper process that runs the engine has ended; the next call starts it again."""
