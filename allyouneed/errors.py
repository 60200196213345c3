"""The one exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """Something the user can put right: one sentence that names the file, line or field and says what to do.

    The command line prints it as ``error: <sentence>`` on stderr and exits with code 2; it never shows a traceback.
    """
