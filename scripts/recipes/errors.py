"""What ends a recipe."""


class Refused(Exception):
    """A mistake of the user's or a thing that is not there, to be told without a traceback."""


class Failed(Exception):
    """A command failed, which has told why.

    Attributes:
        status: its exit status; negative: minus the signal that ended it.
    """

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


class Stopped(BaseException):
    """A signal asks to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number
