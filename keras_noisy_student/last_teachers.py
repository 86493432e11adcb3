"""`LastTeachers`: the teachers of the rounds before, of which a round may average several."""

import keras


class LastTeachers:
    """Keeps the networks of the last teachers of a run, each once; not their optimizers.

    Args:
        num_kept: how many.
    """

    def __init__(self, num_kept: int = 1) -> None:
        self._num_kept = num_kept
        self._teachers: list[keras.Model] = []

    def add(self, teacher: keras.Model) -> None:
        """A round has ended with this teacher of the next one."""
        self._teachers = self.up_to(teacher, self._num_kept)

    def up_to(self, teacher: keras.Model, num_teachers: int) -> list[keras.Model]:
        """The last teachers, so many or as many as there are, with `teacher` as the last of them."""
        earlier = [each for each in self._teachers if each is not teacher]
        return [*earlier, teacher][-num_teachers:]
