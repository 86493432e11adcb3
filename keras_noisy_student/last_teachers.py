"""`LastTeachers`: the teachers of the rounds before, of which a round may average several."""

from keras_noisy_student.student import NoisyStudent


class LastTeachers:
    """Keeps the last teachers of a run, each once.

    Args:
        num_kept: how many.
    """

    def __init__(self, num_kept: int = 1) -> None:
        self._num_kept = num_kept
        self._teachers: list[NoisyStudent] = []

    def add(self, teacher: NoisyStudent) -> None:
        """A round has ended with this teacher of the next one."""
        self._teachers = self.up_to(teacher, self._num_kept)

    def up_to(self, teacher: NoisyStudent, num_teachers: int) -> list[NoisyStudent]:
        """The last teachers, so many or as many as there are, with `teacher` as the last of them."""
        earlier = [each for each in self._teachers if each is not teacher]
        return [*earlier, teacher][-num_teachers:]
